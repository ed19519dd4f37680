"""Settings of the server, for whoever administers the whole of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session
from starlette.responses import Response

from gatelink.exceptions import GatelinkError, InputError
from gm_server.access.actors import Actor
from gm_server.acts import outgoing
from gm_server.acts import settings as acts
from gm_server.acts import texting as text_acts
from gm_server.alarms.settings import AlarmSettings
from gm_server.certificates.settings import WebCertificateSettings
from gm_server.mail.settings import MailSettings
from gm_server.texting.settings import Provider, TextingSettings
from gm_server.web.forms import Form, convert
from gm_server.web.visits import Visit

GET: Final = ["GET"]
BOTH: Final = ["GET", "POST"]
POST: Final = ["POST"]
TRIAL_S: Final = 60.0


async def server(visit: Visit) -> Response:
    """Show who this GateManager is."""
    visit.by.must_serve()
    online = len(visit.live.online_ids())
    sessions = sum(1 for _ in visit.live.sessions())
    users = len(visit.live.users())
    return visit.show("settings.html", online=online, sessions=sessions, users=users, sender=visit.portal.sender())


async def mail(visit: Visit) -> Response:
    """Show and change how mail is sent."""

    def look(session: Session, by: Actor) -> tuple[MailSettings, tuple[outgoing.OutgoingView, ...]]:
        return acts.mail_settings(session, by), outgoing.list_mail(session, by)

    now, sent = await visit.read(look)
    if not visit.is_post:
        return visit.show("settings_mail.html", mail=now, sent=sent)
    form = visit.form
    fields = {name: form.text(name) for name in ("host", "security", "user", "sender", "ca_file")}
    try:
        wanted = convert(
            {**fields, "password": form.raw("password"), "port": form.number("port", "the port") or 587}, MailSettings
        )
        await visit.write(acts.change_mail, wanted, visit.now)
    except GatelinkError as error:
        return visit.again("settings_mail.html", error, mail=now, sent=sent)
    return visit.to("/settings/mail", "saved")


async def try_mail(visit: Visit) -> Response:
    """Send a test to oneself."""
    await visit.write(outgoing.send_trial_mail, visit.portal.about().name, visit.now)
    return visit.to("/settings/mail", "test-sent")


async def texting(visit: Visit) -> Response:
    """Show the providers of text messages."""
    return await _texting(visit)


async def _texting(visit: Visit, error: GatelinkError | None = None, tried: tuple[Any, ...] = ()) -> Response:
    def look(session: Session, by: Actor) -> tuple[TextingSettings, tuple[outgoing.Sent, ...]]:
        return text_acts.texting_settings(session, by), outgoing.list_deliveries(session, by)

    now, sent = await visit.read(look)
    fields = [msgspec.to_builtins(provider) for provider in now.providers]
    values: dict[str, Any] = {"providers": fields, "sent": sent, "tried": tried}
    if error is not None:
        return visit.again("settings_texting.html", error, **values)
    return visit.show("settings_texting.html", **values)


async def save_provider(visit: Visit) -> Response:
    """Add a provider, change one, move one up, or remove one."""
    try:
        await visit.write(_save_provider, visit.form, visit.now)
    except GatelinkError as error:
        return await _texting(visit, error)
    return visit.to("/settings/sms", "saved")


def _save_provider(session: Session, by: Actor, form: Form, now: float) -> None:
    providers = list(text_acts.texting_settings(session, by).providers)
    name = form.text("before")
    position = next((at for at, one in enumerate(providers) if one.name == name), len(providers))
    deed = form.text("deed", "save")
    renamed: dict[str, str] = {}
    if deed == "save":
        one = _provider(form)
        providers[position : position + 1] = [one]
        if name:
            renamed[one.name] = name
    elif position < len(providers) and deed == "remove":
        del providers[position]
    elif 0 < position < len(providers) and deed == "up":
        providers.insert(position - 1, providers.pop(position))
    text_acts.change_texting(session, by, TextingSettings(tuple(providers)), now, renamed)


def _provider(form: Form) -> Provider:
    kind = form.text("kind")
    fields: dict[str, Any] = {"kind": kind, "name": form.text("name"), "secret": form.raw("secret")}
    if kind == "http":
        lines = [line.partition(":") for line in form.text("headers").splitlines() if line.strip()]
        headers = {name.strip(): value.strip() for name, _, value in lines}
        texts = {name: form.text(name) for name in ("method", "url", "body", "expect")}
        fields |= {**texts, "headers": headers}
    elif kind == "smpp":
        fields |= {name: form.text(name) for name in ("host", "system_id", "sender")}
        fields |= {"port": form.number("port", "the port") or 2775, "tls": form.flag("tls")}
    else:
        fields |= {"port": form.text("port"), "baud": form.number("baud", "the speed") or 115_200}
    return convert(fields, Provider)  # type: ignore[arg-type]  # a union is no class


async def try_texting(visit: Visit) -> Response:
    """Send a test to oneself, and show what each provider did."""
    try:
        phone = await visit.read(outgoing.phone_of)
        text = visit.gettext("This is a test of %(name)s.", name=visit.portal.about().name)
        tried = await visit.live.texts.deliver(phone, text, TRIAL_S)
    except GatelinkError as error:
        return await _texting(visit, error)
    nobody = None if tried else InputError("no provider is set up: add one first")
    return await _texting(visit, nobody, tuple(tried))


async def alarms(visit: Visit) -> Response:
    """Show and change how patient alarms are."""

    now = await visit.read(acts.alarm_settings)
    if not visit.is_post:
        return visit.show("settings_alarms.html", alarms=now)
    form = visit.form
    try:
        numbers = {
            name: form.number(name, name.replace("_", " ")) or 0
            for name in ("offline_minutes", "failed_logins", "certificate_days")
        }
        wanted = convert({**numbers, "mail": form.flag("mail")}, AlarmSettings)
        await visit.write(acts.change_alarms, wanted, visit.now)
    except GatelinkError as error:
        return visit.again("settings_alarms.html", error, alarms=now)
    return visit.to("/settings/alarms", "saved")


async def certificate(visit: Visit) -> Response:
    """Show and change where the certificate for browsers comes from."""

    now = await visit.read(acts.web_certificate_settings)
    if not visit.is_post:
        return visit.show("settings_certificate.html", web=now)
    form = visit.form
    names = ("kind", "certificate_file", "key_file", "directory_url", "email", "challenge", "authority_file")
    fields: dict[str, Any] = {name: form.text(name) for name in names}
    fields |= {"names": form.text("names").replace(",", " ").split(), "terms_agreed": form.flag("terms_agreed")}
    try:
        wanted = convert(fields, WebCertificateSettings)
        await visit.write(acts.change_web_certificate, wanted, visit.now)
    except GatelinkError as error:
        return visit.again("settings_certificate.html", error, web=now)
    return visit.to("/settings/certificate", "saved")


async def backup(visit: Visit) -> Response:
    """Say how a backup is made: with a passphrase, where the server runs."""
    visit.by.must_serve()
    return visit.show("settings_backup.html")


PAGES: Final = (
    ("/settings", server, GET),
    ("/settings/mail", mail, BOTH),
    ("/settings/mail/test", try_mail, POST),
    ("/settings/sms", texting, GET),
    ("/settings/sms/save", save_provider, POST),
    ("/settings/sms/test", try_texting, POST),
    ("/settings/alarms", alarms, BOTH),
    ("/settings/certificate", certificate, BOTH),
    ("/settings/backup", backup, GET),
)
