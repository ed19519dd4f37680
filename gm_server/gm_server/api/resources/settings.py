"""Settings of the server. All of it needs the scope ``change``: the right is that of who may change them.

Answers have no secrets, and what was read can be sent back: a secret that is left out stays as it was.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta
from sqlalchemy.orm import Session

from gatelink.exceptions import InputError
from gm_server.acts import outgoing, settings, texting
from gm_server.acts.outgoing import OutgoingView, Sent
from gm_server.alarms.settings import AlarmSettings
from gm_server.api.endpoints import Call, Endpoint
from gm_server.certificates.settings import WebCertificateSettings
from gm_server.mail.settings import MailSettings
from gm_server.service.live import Live
from gm_server.texting.sender import Delivery
from gm_server.texting.settings import TextingSettings

TRIAL_S: Final = 60.0
"""A test message is of no use later."""


class MailView(msgspec.Struct, frozen=True, kw_only=True):
    """How mail is sent. Empty ``host``: none is."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    user: str
    sender: str
    ca_file: str


class HttpProviderView(msgspec.Struct, frozen=True, tag_field="kind", tag="http", kw_only=True):
    """A web service."""

    name: str
    method: Literal["POST", "GET", "PUT"]
    url: str
    headers: dict[str, str]
    body: str
    expect: str


class SmppProviderView(msgspec.Struct, frozen=True, tag_field="kind", tag="smpp", kw_only=True):
    """A message centre that speaks SMPP 3.4."""

    name: str
    host: str
    port: int
    tls: bool
    system_id: str
    sender: str


class ModemProviderView(msgspec.Struct, frozen=True, tag_field="kind", tag="modem", kw_only=True):
    """A GSM modem at a serial port."""

    name: str
    port: str
    baud: int


ProviderView: TypeAlias = HttpProviderView | SmppProviderView | ModemProviderView


class TextingView(msgspec.Struct, frozen=True):
    """By which providers text messages are sent: the first one is tried first."""

    providers: tuple[ProviderView, ...]


class MailTried(msgspec.Struct, frozen=True):
    """A test that is on its way; what becomes of it stands in ``/settings/mail/sent``."""

    recipient: Annotated[str, Meta(description="The mail address of the token's user.")]


class TextTried(msgspec.Struct, frozen=True):
    """What each provider did with a test, in their order, up to the one that took it (``error`` is empty)."""

    tried: tuple[Delivery, ...]


def _mail(session: Session, call: Call) -> MailView:
    return msgspec.convert(settings.mail_settings(session, call.by), MailView, from_attributes=True)


def _set_mail(session: Session, call: Call) -> MailView:
    kept = settings.change_mail(session, call.by, call.body, call.now)
    return msgspec.convert(kept, MailView, from_attributes=True)


def _texting(session: Session, call: Call) -> TextingView:
    return _view(texting.texting_settings(session, call.by))


def _set_texting(session: Session, call: Call) -> TextingView:
    return _view(texting.change_texting(session, call.by, call.body, call.now))


def _view(kept: TextingSettings) -> TextingView:
    return msgspec.convert(msgspec.to_builtins(kept), TextingView)


async def _try_texting(live: Live, phone: str) -> TextTried:
    tried = await live.texts.deliver(phone, texting.TEST_TEXT, TRIAL_S)
    if not tried:
        raise InputError("no provider is set up: add one first")
    return TextTried(tuple(tried))


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/settings/mail",
        name="getMailSettings",
        tagged=True,
        summary="Read how mail is sent; without the password",
        tag="Settings",
        scope="change",
        answer=MailView,
        work=_mail,
    ),
    Endpoint(
        method="PUT",
        path="/settings/mail",
        name="setMailSettings",
        summary="Change how mail is sent; without a password the one of before stays",
        tag="Settings",
        scope="change",
        body=MailSettings,
        answer=MailView,
        current=_mail,
        work=_set_mail,
    ),
    Endpoint(
        method="GET",
        path="/settings/mail/sent",
        name="listMail",
        summary="List the last 20 mails, the newest first: on their way, sent, or given up",
        tag="Settings",
        scope="change",
        answer=tuple[OutgoingView, ...],
        work=lambda session, call: outgoing.list_mail(session, call.by),
    ),
    Endpoint(
        method="POST",
        path="/settings/mail/test",
        name="testMail",
        summary="Send a test to the mail address of the token's user",
        tag="Settings",
        scope="change",
        answer=MailTried,
        work=lambda session, call: MailTried(outgoing.send_trial_mail(session, call.by, call.gatemanager, call.now)),
    ),
    Endpoint(
        method="GET",
        path="/settings/sms",
        name="getTextSettings",
        tagged=True,
        summary="Read by which providers text messages are sent; without their secrets",
        tag="Settings",
        scope="change",
        answer=TextingView,
        work=_texting,
    ),
    Endpoint(
        method="PUT",
        path="/settings/sms",
        name="setTextSettings",
        summary="Use exactly these providers; without a secret each keeps its own, unless it is asked elsewhere now",
        tag="Settings",
        scope="change",
        body=TextingSettings,
        answer=TextingView,
        current=_texting,
        work=_set_texting,
    ),
    Endpoint(
        method="GET",
        path="/settings/sms/sent",
        name="listTextMessages",
        summary="List what became of the last 20 text messages, the newest first",
        tag="Settings",
        scope="change",
        answer=tuple[Sent, ...],
        work=lambda session, call: outgoing.list_deliveries(session, call.by),
    ),
    Endpoint(
        method="POST",
        path="/settings/sms/test",
        name="testTextMessages",
        summary="Send a test to the mobile number of the token's user, and wait for what each provider does",
        tag="Settings",
        scope="change",
        answer=TextTried,
        work=lambda session, call: outgoing.phone_of(session, call.by),
        finish=_try_texting,
    ),
    Endpoint(
        method="GET",
        path="/settings/alarms",
        name="getAlarmSettings",
        tagged=True,
        summary="Read how patient alarms are",
        tag="Settings",
        scope="change",
        answer=AlarmSettings,
        work=lambda session, call: settings.alarm_settings(session, call.by),
    ),
    Endpoint(
        method="PUT",
        path="/settings/alarms",
        name="setAlarmSettings",
        summary="Change how patient alarms are",
        tag="Settings",
        scope="change",
        body=AlarmSettings,
        answer=AlarmSettings,
        current=lambda session, call: settings.alarm_settings(session, call.by),
        work=lambda session, call: settings.change_alarms(session, call.by, call.body, call.now),
    ),
    Endpoint(
        method="GET",
        path="/settings/certificate",
        name="getWebCertificateSettings",
        tagged=True,
        summary="Read where the certificate for browsers comes from",
        tag="Settings",
        scope="change",
        answer=WebCertificateSettings,
        work=lambda session, call: settings.web_certificate_settings(session, call.by),
    ),
    Endpoint(
        method="PUT",
        path="/settings/certificate",
        name="setWebCertificateSettings",
        summary="Change where the certificate for browsers comes from; it is put to use within seconds",
        tag="Settings",
        scope="change",
        body=WebCertificateSettings,
        answer=WebCertificateSettings,
        current=lambda session, call: settings.web_certificate_settings(session, call.by),
        work=lambda session, call: settings.change_web_certificate(session, call.by, call.body, call.now),
    ),
)
