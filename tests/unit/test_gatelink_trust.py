"""Identities, pins, succession, proofs and claims."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gatelink import identity
from gatelink.claims import Claim, claim_text, fingerprint_of, parse_claim
from gatelink.exceptions import InputError, PinMismatch, ProofError, ProtocolError
from gatelink.pins import Pin, follow, make_statement
from gatelink.proofs import Transcript, check_proof, make_proof, proof_key

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


def gm_identity() -> identity.Identity:
    return identity.self_signed("gm", NOW, 30 * 365)


def with_serial_of(original: identity.Identity) -> identity.Identity:
    """A certificate of another key that copies name and serial: what a machine in the middle would show."""
    key = identity.new_key()
    certificate = identity.load_certificate(original.certificate)
    copy = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(key.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=10))
        .sign(key, hashes.SHA256())
    )
    return identity.Identity(copy.public_bytes(serialization.Encoding.DER), key)


def test_serial_is_unique_and_readable() -> None:
    serials = {gm_identity().serial for _ in range(20)}
    assert len(serials) == 20
    assert all(len(serial) == 24 and serial.count("-") == 4 for serial in serials)


def test_names_in_a_request_are_ignored() -> None:
    authority = identity.self_signed("ca", NOW, 10, ca=True)
    key = identity.new_key()
    wanted = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "administrator")])
    request = x509.CertificateSigningRequestBuilder().subject_name(wanted).sign(key, hashes.SHA256())
    issued = identity.issue(request.public_bytes(serialization.Encoding.DER), authority, "sm-1", NOW, 10)
    certificate = identity.load_certificate(issued)
    assert certificate.subject.rfc4514_string() == "CN=sm-1"
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_request_is_refused_when_its_signature_is_not_of_its_key() -> None:
    authority = identity.self_signed("ca", NOW, 10, ca=True)
    request = bytearray(identity.make_request(identity.new_key()))
    request[-3] ^= 1
    with pytest.raises(ProtocolError):
        identity.issue(bytes(request), authority, "sm-1", NOW, 10)


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)], ids=["p384", "rsa"]
)
def test_request_is_refused_when_its_key_is_of_another_kind(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> None:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    with pytest.raises(ProtocolError, match="P-256"):
        identity.request_key_sha256(request.public_bytes(serialization.Encoding.DER))


def test_pkcs12_opens_with_its_password_only() -> None:
    mine = gm_identity()
    data = identity.to_pkcs12(mine, "ann", "correct horse")
    opened = identity.from_pkcs12(data, "correct horse")
    assert (opened.certificate, opened.key.private_numbers()) == (mine.certificate, mine.key.private_numbers())
    with pytest.raises(InputError, match="password is wrong"):
        identity.from_pkcs12(data, "wrong horse")
    with pytest.raises(InputError):
        identity.from_pkcs12(data[:-10], "correct horse")


def test_identity_survives_pem() -> None:
    mine = gm_identity()
    again = identity.from_pem(identity.to_pem(mine))
    assert again.certificate == mine.certificate
    with pytest.raises(InputError):
        identity.from_pem(identity.to_pem(mine)[:100])
    with pytest.raises(InputError):
        identity.key_from_pem(b"nothing")


def test_pin_names_both_serials_when_another_certificate_comes() -> None:
    gm, other = gm_identity(), gm_identity()
    with pytest.raises(PinMismatch) as caught:
        Pin(gm.certificate, "proof").check(other.certificate)
    assert gm.serial in str(caught.value)
    assert other.serial in str(caught.value)
    assert caught.value.presented == other.certificate


def test_pin_is_not_fooled_when_the_serial_is_copied() -> None:
    gm = gm_identity()
    copy = with_serial_of(gm)
    assert copy.serial == gm.serial
    with pytest.raises(PinMismatch):
        Pin(gm.certificate, "proof").check(copy.certificate)


def test_succession_is_followed_over_several_steps() -> None:
    first, second, third = gm_identity(), gm_identity(), gm_identity()
    statements = [make_statement(first, second.certificate), make_statement(second, third.certificate)]
    followed = follow(Pin(first.certificate, "proof"), statements, third.certificate)
    assert (followed.certificate, followed.how) == (third.certificate, "succession")
    assert follow(Pin(second.certificate, "proof"), statements, third.certificate).certificate == third.certificate


def test_succession_is_refused_when_it_is_not_signed_by_the_pinned_key() -> None:
    pinned, thief = gm_identity(), gm_identity()
    forged = make_statement(thief, thief.certificate)
    pretended = type(forged)(identity.key_sha256(pinned.certificate), thief.certificate, forged.signature)
    for statements in ([], [forged], [pretended]):
        with pytest.raises(PinMismatch):
            follow(Pin(pinned.certificate, "proof"), statements, thief.certificate)


def test_succession_is_refused_when_the_chain_ends_elsewhere() -> None:
    first, second, thief = gm_identity(), gm_identity(), gm_identity()
    with pytest.raises(PinMismatch):
        follow(Pin(first.certificate, "proof"), [make_statement(first, second.certificate)], thief.certificate)


def test_statement_about_rubbish_is_not_followed() -> None:
    first, second = gm_identity(), gm_identity()
    statements = [make_statement(first, b"rubbish"), make_statement(first, second.certificate)]
    assert follow(Pin(first.certificate, "proof"), statements, second.certificate).certificate == second.certificate


TRANSCRIPT = Transcript("appliance", "c-1", b"p" * 32, b"g" * 32, b"gm certificate", b"k" * 32)


@pytest.mark.parametrize(
    "changed",
    [
        Transcript("user", "c-1", b"p" * 32, b"g" * 32, b"gm certificate", b"k" * 32),
        Transcript("appliance", "c-2", b"p" * 32, b"g" * 32, b"gm certificate", b"k" * 32),
        Transcript("appliance", "c-1", b"x" * 32, b"g" * 32, b"gm certificate", b"k" * 32),
        Transcript("appliance", "c-1", b"p" * 32, b"x" * 32, b"gm certificate", b"k" * 32),
        Transcript("appliance", "c-1", b"p" * 32, b"g" * 32, b"other certificate", b"k" * 32),
        Transcript("appliance", "c-1", b"p" * 32, b"g" * 32, b"gm certificate", b"x" * 32),
    ],
    ids=["kind", "claim", "party nonce", "gm nonce", "gm certificate", "party key"],
)
def test_proof_is_wrong_when_anything_differs(changed: Transcript) -> None:
    key = proof_key(b"s" * 16)
    proof = make_proof(key, "gm", TRANSCRIPT)
    check_proof(key, "gm", TRANSCRIPT, proof)
    with pytest.raises(ProofError):
        check_proof(key, "gm", changed, proof)


def test_proof_is_wrong_when_it_is_reflected_or_of_another_secret() -> None:
    key = proof_key(b"s" * 16)
    with pytest.raises(ProofError):
        check_proof(key, "party", TRANSCRIPT, make_proof(key, "gm", TRANSCRIPT))
    with pytest.raises(ProofError):
        check_proof(key, "gm", TRANSCRIPT, make_proof(proof_key(b"t" * 16), "gm", TRANSCRIPT))


def claim(kind: str = "appliance") -> Claim:
    fingerprint = fingerprint_of(gm_identity().certificate)
    return Claim(kind, "c-1", b"s" * 16, ("gm.example", "203.0.113.10"), fingerprint)  # type: ignore[arg-type]


def test_claim_survives_a_mail_that_breaks_its_line() -> None:
    text = claim_text(claim())
    broken = "\n ".join(text[start : start + 60] for start in range(0, len(text), 60)) + "\n"
    assert parse_claim(broken, "appliance").addresses == ("gm.example", "203.0.113.10")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begin with glc1_"),
        ("hello", "begin with glc1_"),
        (claim_text(claim("user")), "other side"),
        (claim_text(claim())[:-5], "cut off"),
        (claim_text(claim()).replace("glc1_", "glc1_A"), "cut off"),
        ("glc1_" + "A" * 5000, "begin with glc1_"),
        ("glc1_ä", "cut off"),
    ],
)
def test_unusable_claim_says_what_is_wrong_and_does_not_repeat_it(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_claim(text, "appliance")
    assert len(text) < 8 or text not in str(caught.value)
