"""Settings of the server: mail, alarms, the web certificate's source. An affair of the whole server's administrators.

Text messages are in ``texting``. Secrets are never shown; one that is empty when settings are changed stays as it was.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from gm_server.access.actors import Actor
from gm_server.alarms.settings import AlarmSettings, load_alarm_settings, save_alarm_settings
from gm_server.certificates.settings import (
    WebCertificateSettings,
    load_web_certificate_settings,
    save_web_certificate_settings,
)
from gm_server.mail.settings import MailSettings, load_mail, save_mail, shown


def mail_settings(session: Session, by: Actor) -> MailSettings:
    """Return how mail is sent, without the password."""
    by.must_serve()
    return shown(load_mail(session))


def change_mail(session: Session, by: Actor, settings: MailSettings, now: float) -> MailSettings:
    """Send mail so from now on; raises InputError where the password must be given again."""
    return save_mail(session, by, settings, now)


def alarm_settings(session: Session, by: Actor) -> AlarmSettings:
    """Return how patient alarms are."""
    by.must_serve()
    return load_alarm_settings(session)


def change_alarms(session: Session, by: Actor, settings: AlarmSettings, now: float) -> AlarmSettings:
    """Let alarms be so from now on."""
    save_alarm_settings(session, by, settings, now)
    return settings


def web_certificate_settings(session: Session, by: Actor) -> WebCertificateSettings:
    """Return where the certificate for browsers comes from."""
    by.must_serve()
    return load_web_certificate_settings(session)


def change_web_certificate(
    session: Session, by: Actor, settings: WebCertificateSettings, now: float
) -> WebCertificateSettings:
    """Take the certificate from there, within seconds; raises InputError for settings that cannot work."""
    save_web_certificate_settings(session, by, settings, now)
    return settings
