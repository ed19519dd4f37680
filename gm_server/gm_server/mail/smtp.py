"""Speaks SMTP (RFC 5321) to one mail server, in a thread: one connection a letter, verified TLS, bounded times."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from typing import Final

from gatelink.exceptions import GatelinkError

from .settings import MailSettings

TIMEOUT_S: Final = 20.0
"""For each step."""


class MailError(GatelinkError):
    """A letter was not sent; ``for_good`` says that trying again is of no use."""

    def __init__(self, text: str, *, for_good: bool = False) -> None:
        super().__init__(text)
        self.for_good = for_good


def send(settings: MailSettings, name: str, recipient: str, subject: str, body: str, now: float) -> None:
    """Return when the server has taken the letter; raises MailError. Blocks."""
    message = EmailMessage()
    message["From"] = formataddr((name, settings.sender))
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = formatdate(now)
    message["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
    # RFC 3834: no out-of-office answers to a machine.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    with _translated(settings), _connected(settings) as server:
        server.send_message(message)


@contextmanager
def _connected(settings: MailSettings) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    server: smtplib.SMTP
    if settings.security == "tls":
        server = smtplib.SMTP_SSL(settings.host, settings.port, timeout=TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_S)
    with server:
        if settings.security == "starttls":
            server.starttls(context=context)
        if settings.user:
            server.login(settings.user, settings.password)
        yield server


@contextmanager
def _translated(settings: MailSettings) -> Iterator[None]:
    """Errors in one line. What the server says may repeat addresses, never our password."""
    where = f"the mail server {settings.host}:{settings.port}"
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise MailError(f"{where} refused the user or password ({error.smtp_code})") from None
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise MailError(f"{where} refused the recipient: {code} {_line(text)}", for_good=code >= 500) from None
    except smtplib.SMTPResponseException as error:
        said = f"{where} said {error.smtp_code} {_line(error.smtp_error)}"
        raise MailError(said, for_good=error.smtp_code >= 500) from None
    except smtplib.SMTPNotSupportedError:
        raise MailError(f"{where} does not offer {settings.security} or logins: check the settings") from None
    except ssl.SSLError as error:
        raise MailError(f"{where} has no certificate that is trusted: {error.reason or error}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"{where} cannot be reached: {_line(str(error)) or type(error).__name__}") from None
    except (ValueError, UnicodeError):
        raise MailError("the letter's addresses cannot be written in a header", for_good=True) from None


def _line(text: bytes | str) -> str:
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(decoded.split())[:200]
