"""The conversation with an ACME authority (RFC 8555), by the library ``acme``. Blocks: it is called in a thread."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import requests
from acme import challenges as acme_challenges
from acme import client, crypto_util, errors, messages
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from gatelink.exceptions import GatelinkError
from gatelink.files import write_atomically
from gatelink.identity import PrivateKey, key_from_pem, key_to_pem, new_key

from .challenges import Challenges
from .settings import WebCertificateSettings

TIMEOUT_S: Final = 120.0
"""For all challenges of an order."""
_REQUEST_S: Final = 20


class AuthorityError(GatelinkError):
    """The authority gave no certificate; the text says why."""


class _Account(msgspec.Struct, frozen=True):
    """``acme.json``: who we are to an authority."""

    directory_url: str
    key: str
    uri: str


@acme_challenges.Challenge.register
class TlsAlpn01(acme_challenges.KeyAuthorizationChallenge):
    """tls-alpn-01 (RFC 8737), which the library does not know any more."""

    class Response(acme_challenges.KeyAuthorizationChallengeResponse):
        """The same as of every challenge by key authorization."""

        typ = "tls-alpn-01"

    response_cls = Response
    typ = "tls-alpn-01"

    def validation(self, account_key: JWK, **_kwargs: Any) -> str:
        """Return what is to be shown."""
        return str(self.key_authorization(account_key))


def fetch(settings: WebCertificateSettings, account_path: Path, challenges: Challenges, software: str) -> bytes:
    """Return a new key with its certificate chain (PEM); raises AuthorityError."""
    try:
        return _fetch(settings, account_path, challenges, software)
    except errors.ValidationError as error:
        raise AuthorityError(f"the authority did not find us: {_why(error)}") from None
    except messages.Error as error:
        raise AuthorityError(f"the authority refused: {str(error.detail or error.typ)[:300]}") from None
    except errors.TimeoutError:
        raise AuthorityError(f"the authority did not decide within {TIMEOUT_S:.0f} s") from None
    except (errors.Error, JoseError) as error:
        raise AuthorityError(f"the authority was not understood: {str(error)[:300]}") from None
    except (requests.RequestException, OSError) as error:
        raise AuthorityError(f"the authority {settings.directory_url} cannot be reached: {str(error)[:300]}") from None
    finally:
        challenges.clear()


def _fetch(settings: WebCertificateSettings, account_path: Path, challenges: Challenges, software: str) -> bytes:
    account = _load_account(account_path, settings.directory_url)
    account_key = key_from_pem(account.key.encode()) if account else new_key()
    network = client.ClientNetwork(
        JWKEC(key=account_key), alg=ES256, user_agent=f"gatelink-gm/{software}", timeout=_REQUEST_S
    )
    if settings.authority_file:
        network.verify_ssl = settings.authority_file  # type: ignore[assignment]
    try:
        acme = client.ClientV2(client.ClientV2.get_directory(settings.directory_url, network), network)
        if account is not None:
            network.account = messages.RegistrationResource(uri=account.uri, body=messages.Registration())
        else:
            _register(acme, settings, account_path, account_key)
        return _order(acme, settings, challenges)
    finally:
        network.session.close()


def _order(acme: client.ClientV2, settings: WebCertificateSettings, challenges: Challenges) -> bytes:
    key = new_key()
    pem = key_to_pem(key)
    order = acme.new_order(crypto_util.make_csr(pem, list(settings.names)))
    for authorization in order.authorizations:
        if authorization.body.status == messages.STATUS_VALID:
            continue
        offered = {item.chall.typ: item for item in authorization.body.challenges}
        chosen = offered.get(settings.challenge)
        if chosen is None:
            raise AuthorityError(f"the authority offers {', '.join(offered) or 'nothing'}, not {settings.challenge}")
        response, shown = chosen.response_and_validation(acme.net.key)
        if settings.challenge == "http-01":
            challenges.put_http(chosen.chall.encode("token"), shown)
        else:
            challenges.put_tls(authorization.body.identifier.value, shown)
        acme.answer_challenge(chosen, response)
    # The library compares with the clock on the wall, without a zone.
    deadline = datetime.datetime.now() + datetime.timedelta(seconds=TIMEOUT_S)  # noqa: DTZ005
    return pem + acme.poll_and_finalize(order, deadline).fullchain_pem.encode()


def _register(acme: client.ClientV2, settings: WebCertificateSettings, path: Path, key: PrivateKey) -> None:
    registration = messages.NewRegistration.from_data(
        email=settings.email or None, terms_of_service_agreed=settings.terms_agreed
    )
    uri = acme.new_account(registration).uri
    write_atomically(path, msgspec.json.encode(_Account(settings.directory_url, key_to_pem(key).decode(), uri)))


def _load_account(path: Path, directory_url: str) -> _Account | None:
    """Return our account there; None if there is none, or it is with another authority."""
    try:
        account = msgspec.json.decode(path.read_bytes(), type=_Account)
    except (OSError, msgspec.DecodeError):
        return None
    return account if account.directory_url == directory_url else None


def _why(error: errors.ValidationError) -> str:
    details = [
        f"{authorization.body.identifier.value}: {item.error.detail}"
        for authorization in error.failed_authzrs
        for item in authorization.body.challenges
        if getattr(item, "error", None) is not None
    ]
    return "; ".join(details)[:400] or "it did not say why"
