"""The second factor of a LinkManager's login: challenges and answers in turn, until one is right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from gatelink.exceptions import ProtocolError, Refused
from gatelink.messages import LoginAnswer, LoginChallenge, LoginResend, Ping, Pong, Vocabulary
from gatelink.tls_io import Conversation
from gm_server.accounts.attempts import Attempt
from gm_server.accounts.login import Logins

MAX_WORDS: Final = 256
"""Of one challenge, keepalives included. A security limit."""


async def ask_for_factor(
    conversation: Conversation,
    vocabulary: Vocabulary[Any],
    logins: Logins,
    attempt: Attempt,
    key: bytes,
    clock: Callable[[], float],
) -> None:
    """Return when the attempt is done; raises Refused when nothing can come of it any more.

    The connection is no stranger's any more: the bounds of ``Attempts`` hold instead, under ``key``.
    """
    if attempt.is_done:
        return
    logins.attempts.put(key, attempt, clock())
    try:
        while not attempt.is_done:
            await conversation.send(challenge_of(attempt, clock()))
            async with asyncio.timeout(attempt.expires_s(clock())):
                word = await _hear(conversation, vocabulary)
            if logins.attempts.get(key, clock()) is not attempt:
                raise Refused("login", "the login took too long, or others of yours were begun: begin again")
            if isinstance(word, LoginResend):
                await logins.send_text(attempt, "lm")
            else:
                await logins.answer(attempt, word.kind, word.code, "lm")
    except TimeoutError:
        raise Refused("login", "no code was entered in time: begin again") from None
    finally:
        logins.attempts.remove(key)


def challenge_of(attempt: Attempt, now: float) -> LoginChallenge:
    """Return what the person is asked."""
    return LoginChallenge(
        kinds=tuple(kind for kind in attempt.kinds if kind != "passkey"),
        text=attempt.text,
        expires_s=attempt.expires_s(now),
        resend_after_s=attempt.resend_after_s(now),
        tries_left=max(0, attempt.tries_left),
    )


async def _hear(conversation: Conversation, vocabulary: Vocabulary[Any]) -> LoginAnswer | LoginResend:
    for _ in range(MAX_WORDS):
        word = await conversation.receive(vocabulary)
        if isinstance(word, LoginAnswer | LoginResend):
            return word
        if isinstance(word, Ping):
            await conversation.send(Pong(token=word.token))
        elif not isinstance(word, Pong):
            raise ProtocolError("expected login-answer or login-resend")
    raise ProtocolError("expected an answer to the challenge, got keepalives alone")
