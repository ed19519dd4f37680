"""A message centre by SMPP 3.4 (smpplib, which blocks: it runs in a thread of its own for one message)."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Any, Final

import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm

from gatelink.exceptions import GatelinkError

from .settings import SmppProvider

TIMEOUT_S: Final = 10
_MAX_PDUS: Final = 32
"""Looked at while waiting for one answer."""
_SILENT: Final = "gm.texting.smpplib"
logging.getLogger(_SILENT).setLevel(logging.CRITICAL)
"""It would write whole PDUs, passwords among them; what it has to say comes as exceptions."""


async def send_by_smpp(provider: SmppProvider, recipient: str, text: str) -> None:
    """Send one message; raises GatelinkError with the centre's status."""
    await asyncio.to_thread(_send, provider, recipient, text)


class _Verified:
    """The context that smpplib wraps its socket with; it forgets to say which name the certificate must have."""

    def __init__(self, host: str) -> None:
        self._context = ssl.create_default_context()
        self._host = host

    def wrap_socket(self, raw: socket.socket) -> ssl.SSLSocket:
        """Make a TLS connection to the host, and to nobody else."""
        return self._context.wrap_socket(raw, server_hostname=self._host)


def _send(provider: SmppProvider, recipient: str, text: str) -> None:
    context = _Verified(provider.host) if provider.tls else None
    client = smpplib.client.Client(
        provider.host,
        provider.port,
        timeout=TIMEOUT_S,
        logger_name=_SILENT,
        ssl_context=context,
        allow_unknown_opt_params=True,
    )
    try:
        client.connect()
        client.bind_transmitter(system_id=provider.system_id, password=provider.secret)
        parts, coding, message_class = smpplib.gsm.make_parts(text)
        for part in parts:
            _submit(client, provider, recipient, part, coding, message_class)
        client.unbind()
    except smpplib.exceptions.PDUError as error:
        raise GatelinkError(f"{provider.name} refused the message ({_status(error)})") from None
    except (smpplib.exceptions.ConnectionError, smpplib.exceptions.UnknownCommandError, OSError) as error:
        raise GatelinkError(f"{provider.name} cannot be reached ({_reason(error)})") from None
    finally:
        client.disconnect()


def _submit(client: Any, provider: SmppProvider, recipient: str, part: bytes, coding: int, message_class: int) -> None:
    is_name = bool(provider.sender) and not provider.sender.isdigit()
    sent = client.send_message(
        source_addr_ton=smpplib.consts.SMPP_TON_ALNUM if is_name else smpplib.consts.SMPP_TON_INTL,
        source_addr=provider.sender,
        dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
        dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
        destination_addr=recipient.removeprefix("+"),
        short_message=part,
        data_coding=coding,
        esm_class=message_class,
    )
    for _ in range(_MAX_PDUS):
        answer = client.read_pdu()
        if answer.sequence == sent.sequence and answer.command == "submit_sm_resp":
            if answer.is_error():
                raise smpplib.exceptions.PDUError("submit_sm", int(answer.status))
            return
        if answer.command == "enquire_link":
            client._enquire_link_received(answer)
    raise GatelinkError(f"{provider.name} does not answer to the message")


def _reason(error: BaseException) -> str:
    # smpplib says ConnectionError for all that is wrong with one; what it was stands behind it.
    behind = error.__cause__ or error.__context__ or error
    if isinstance(behind, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {behind.verify_message}"
    return type(behind).__name__


def _status(error: Exception) -> str:
    status = error.args[1] if len(error.args) > 1 else None
    return f"status {int(status):#x}" if status is not None else "it did not say why"
