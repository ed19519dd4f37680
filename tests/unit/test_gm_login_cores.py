"""What decides about logins, without I/O: methods, codes, attempts, seals, throttles, telephone numbers, messages."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.gsm_modem import BASIC, ESCAPED, read_submit
from gatelink.exceptions import InputError
from gatelink.identity import self_signed
from gm_server.accounts import recovery, totp
from gm_server.accounts.attempts import (
    ATTEMPT_S,
    CODE_S,
    MAX_ATTEMPTS,
    MAX_PER_USER,
    SENDS_PER_ATTEMPT,
    TRIES,
    Attempt,
    Attempts,
    FactorKind,
    Person,
    SendingLimits,
    kinds_asked,
)
from gm_server.accounts.methods import Method, domain_and_above, in_force
from gm_server.accounts.seals import SEAL_BYTES, Seals
from gm_server.texting.numbers import check_phone
from gm_server.texting.pdu import MAX_PARTS, submit

NOW = 1_795_000_000.0
SEALS = Seals.of_authority(self_signed("users", datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC), 365, ca=True))
RFC_6238 = (
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
)
"""RFC 6238 appendix B, SHA-1, the last six of eight digits."""


def _person(method: Method = "certificate+sms", *factors: FactorKind, phone: str = "+491", number: int = 1) -> Person:
    return Person(f"usr-{number}", "ada", "acme", "hash", True, method, phone=phone, own_factors=frozenset(factors))


def _attempt(*kinds: FactorKind, number: int = 1) -> Attempt:
    return Attempt(_person(number=number), kinds, None, "192.0.2.1", "key", NOW)


@pytest.mark.parametrize(
    ("own", "domains", "expected"),
    [
        (None, {}, "certificate"),
        ("password", {"acme": "certificate+sms"}, "password"),
        (None, {"acme": "password", "acme/line3": None, "acme/line3/north": None}, "password"),
        (None, {"acme": "password", "acme/line3": "certificate+sms"}, "certificate+sms"),
        ("of a newer version", {}, "certificate+sms"),
    ],
)
def test_nearest_method_counts(own: str | None, domains: dict[str, str | None], expected: str) -> None:
    assert in_force(own, domains.items()) == expected
    assert domain_and_above("acme/line3/north") == ("acme/line3/north", "acme/line3", "acme")


@pytest.mark.parametrize(
    ("person", "in_browser", "expected"),
    [
        (_person("certificate"), False, ()),
        (_person("password"), True, ()),
        (_person("certificate", "totp", "recovery"), False, ("totp", "recovery")),
        # A passkey is for browsers: elsewhere it asks for nothing, and stands for nothing.
        (_person("certificate", "passkey"), True, ("passkey",)),
        (_person("certificate", "passkey"), False, ()),
        (_person("password+sms", "passkey"), False, ("sms",)),
        (_person("password+sms", "passkey", "totp"), True, ("passkey", "totp", "sms")),
        (_person("password+sms", phone=""), True, None),
        (_person("password+sms", "recovery", phone=""), True, ("recovery",)),
        # Recovery codes alone ask for nothing.
        (_person("password", "recovery"), True, ()),
    ],
)
def test_second_factors_are_asked_for_by_the_method(
    person: Person, in_browser: bool, expected: tuple[FactorKind, ...] | None
) -> None:
    assert kinds_asked(person, in_browser=in_browser) == expected


@pytest.mark.parametrize(("at", "code"), RFC_6238)
def test_app_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    secret = b"12345678901234567890"
    step = at // totp.STEP_S
    assert totp.code_of_step(secret, step) == code
    for late_s in (-totp.STEP_S, 0, totp.STEP_S):
        assert totp.matching_step(secret, code, at + late_s, last_step=0) == step
    assert totp.matching_step(secret, code, at + 2 * totp.STEP_S, last_step=0) is None
    assert totp.matching_step(secret, code, at, last_step=step) is None
    assert totp.matching_step(secret, "", at, 0) is None


def test_app_is_told_all_it_needs() -> None:
    uri = totp.enrolment_uri(b"12345678901234567890", "Acme & Co", "ada b")
    assert uri == (
        "otpauth://totp/Acme%20%26%20Co:ada%20b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20Co"
    )
    assert totp.secret_text(b"1234567890").split() == ["GEZD", "GNBV", "GY3T", "QOJQ"]


@given(st.binary(min_size=recovery.SECRET_BYTES, max_size=recovery.SECRET_BYTES))
def test_recovery_code_is_known_however_it_is_typed(secret: bytes) -> None:
    code = recovery.code_text(secret)
    assert len(code) == 19
    typed = f"  {code.upper().replace('-', ' ')} "
    misread = code.replace("o", "0").replace("l", "1").replace("b", "8")
    assert recovery.code_sha256(code) == recovery.code_sha256(typed) == recovery.code_sha256(misread)


def test_sent_code_counts_once_for_its_time_and_only_the_newest() -> None:
    attempt = _attempt("sms")
    assert not attempt.is_sent_code("", NOW)
    attempt.sends_code("111111", NOW)
    assert not attempt.may_send(NOW + 29)
    assert attempt.may_send(NOW + 31)
    attempt.sends_code("222222", NOW + 31)
    assert not attempt.is_sent_code("111111", NOW + 32)
    assert not attempt.is_sent_code("222222", NOW + 31 + CODE_S)
    assert attempt.is_sent_code(" 222222 ", NOW + 32)
    assert not attempt.is_sent_code("222222", NOW + 33)
    for _ in range(SENDS_PER_ATTEMPT - 2):
        assert attempt.may_send(NOW + 500)
        attempt.sends_code("333333", NOW + 300)
    assert not attempt.may_send(NOW + 599)


def test_attempt_is_over_after_its_tries_and_its_time() -> None:
    attempt = _attempt("totp")
    assert not attempt.is_done
    for _ in range(TRIES):
        assert not attempt.is_over(NOW)
        attempt.count_try()
    assert attempt.is_over(NOW)
    assert _attempt("totp").is_over(NOW + ATTEMPT_S)
    assert _attempt().is_done
    attempt = _attempt("totp")
    attempt.count_try()
    attempt.succeed("totp")
    assert attempt.is_done


def test_attempts_are_bounded_for_each_user_and_in_all() -> None:
    attempts = Attempts()
    for number in range(MAX_PER_USER + 1):
        attempts.put(bytes((number,)), _attempt("totp"), NOW)
    assert len(attempts) == MAX_PER_USER
    assert attempts.get(b"\0", NOW) is None
    assert attempts.get(b"\1", NOW) is not None
    for number in range(2 * MAX_ATTEMPTS):
        attempts.put(number.to_bytes(4, "big"), _attempt("totp", number=number), NOW)
    assert len(attempts) == MAX_ATTEMPTS
    assert attempts.get((0).to_bytes(4, "big"), NOW) is None
    attempts.put(b"late", _attempt("totp"), NOW + ATTEMPT_S + 1)
    assert len(attempts) == 1


def test_nobody_is_sent_more_messages_than_a_person_needs() -> None:
    limits = SendingLimits()
    for number in range(SendingLimits.PER_QUARTER):
        assert limits.may_send("ada", NOW + number)
        limits.sent("ada", NOW + number)
    assert not limits.may_send("ada", NOW + 10)
    assert limits.may_send("bob", NOW + 10)
    assert limits.may_send("ada", NOW + 910)
    for number in range(SendingLimits.PER_DAY):
        limits.sent("ada", NOW + 1000 * number)
    assert not limits.may_send("ada", NOW + 40_000)
    assert limits.may_send("ada", NOW + 200_000)


@given(st.binary(max_size=SEAL_BYTES + 2), st.integers(0, SEAL_BYTES * 8 - 1))
def test_seal_is_good_for_just_what_it_was_made_for(noise: bytes, bit: int) -> None:
    seal = SEALS.make("resume", "usr-1", b"certificate", NOW + 10)
    assert SEALS.is_good(seal, "resume", "usr-1", b"certificate", NOW)
    assert not SEALS.is_good(seal, "resume", "usr-1", b"certificate", NOW + 11)
    assert not SEALS.is_good(seal, "reset", "usr-1", b"certificate", NOW)
    assert not SEALS.is_good(seal, "resume", "usr-2", b"certificate", NOW)
    assert not SEALS.is_good(seal, "resume", "usr-1", b"another", NOW)
    assert not SEALS.is_good(noise, "resume", "usr-1", b"certificate", NOW)
    bent = (int.from_bytes(seal, "big") ^ (1 << bit)).to_bytes(SEAL_BYTES, "big")
    assert not SEALS.is_good(bent, "resume", "usr-1", b"certificate", NOW)


def test_phone_is_kept_in_its_international_form() -> None:
    assert check_phone(" +49 (0) 151-234.567 ".replace("(0) ", "")) == "+49151234567"
    assert check_phone("0049 151/234567") == "+49151234567"
    for wrong in ("0151 234567", "+49 abc", "+0151234567", "+49", "+" + "1" * 16, ""):
        with pytest.raises(InputError):
            check_phone(wrong)


@given(st.text(st.sampled_from(BASIC.replace("\x1b", "") + "".join(ESCAPED.values())), max_size=800))
def test_every_text_of_the_alphabet_arrives_in_septets(text: str) -> None:
    taken = [read_submit(pdu.octets) for pdu in submit("+4915123456789", text, 300, 7)]
    assert "".join(one.text for one in taken) == text
    assert {one.coding for one in taken} == {0}
    assert {one.recipient for one in taken} == {"+4915123456789"}


@given(st.text(max_size=400))
def test_every_text_arrives_whole_or_is_refused(text: str) -> None:
    text = text.encode("utf-16", "ignore").decode("utf-16")
    try:
        pdus = submit("+123456789", text, 86400, 255)
    except InputError:
        assert len(text.encode("utf-16-be")) // 2 > 67 * (MAX_PARTS - 1)
        return
    taken = [read_submit(pdu.octets) for pdu in pdus]
    assert "".join(one.text for one in taken) == text
    assert all(len(pdu.octets) <= 176 for pdu in pdus)
