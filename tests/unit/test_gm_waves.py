"""What is next in a roll-out, decided from where everybody is; and what a bundle says of itself."""

from __future__ import annotations

import io
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelink.exceptions import InputError
from gm_server.appliances.bundle_manifest import BundleManifest, parse_manifest, read_bundle
from gm_server.appliances.waves import DONE, HOLD_S, LOST_S, Step, Target, next_step
from inproc.firmware_bundles import BOARD, bundle_bytes, manifest_of, signed

NOW = 1_000_000.0
ALL = frozenset("abcdef")


def targets(said: str, age_s: float = 1.0) -> list[Target]:
    """``"good pending"``: a is good, b is pending."""
    return [Target(name, state, NOW - age_s) for name, state in zip("abcdef", said.split(), strict=False)]


def step(said: str, *, online: frozenset[str] = ALL, age_s: float = 1.0, size: int = 2, stop: int = 2) -> Step:
    return next_step(targets(said, age_s), size, stop, online, NOW, 64)


def test_wave_is_so_many_that_are_online_in_their_order() -> None:
    assert step("pending pending pending").offer == ("a", "b")
    assert step("pending pending pending", online=frozenset("bc")).offer == ("b", "c")
    assert not step("pending pending", online=frozenset())
    assert next_step(targets("pending pending"), 2, 1, ALL, NOW, 1).offer == ("a",)
    assert not next_step(targets("pending pending"), 2, 1, ALL, NOW, -3)


@pytest.mark.parametrize("state", ["offered", "waiting", "fetching", "installing", "restarting"])
def test_next_wave_waits_for_the_last_of_this_one(state: str) -> None:
    assert not step(f"good {state} pending")
    assert step("good good pending").offer == ("c",)


def test_who_waits_or_is_slow_holds_nobody_up_for_ever() -> None:
    assert step("waiting fetching pending", age_s=HOLD_S).offer == ("c",)
    # Nobody calls him lost for that.
    assert step("waiting fetching pending", age_s=50 * LOST_S).lost == ()


def test_who_does_not_come_back_is_a_failure() -> None:
    assert step("installing pending", age_s=LOST_S, online=frozenset()) == Step(lost=("a",), failures=1)
    assert step("restarting pending", age_s=LOST_S, stop=1) == Step(lost=("a",), end="stopped", failures=1)
    assert step("offered pending", age_s=LOST_S).lost == ("a",)
    # Who is offline has not heard the offer.
    assert step("offered pending", age_s=LOST_S, online=frozenset("b")).lost == ()


@pytest.mark.parametrize("state", ["refused", "failed", "fell-back"])
def test_failures_stop_it_where_somebody_is_left(state: str) -> None:
    assert step(f"{state} {state} pending").end == "stopped"
    assert step(f"{state} good pending").offer == ("c",)
    assert step(f"{state} {state} good").end == "finished"
    assert step(f"{state} {state} installing").end == "stopped"


STATES = ("pending", "offered", "waiting", "fetching", "installing", "restarting", *sorted(DONE))


@given(
    st.lists(st.sampled_from(STATES), max_size=6),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sets(st.sampled_from("abcdef")),
    st.floats(0, 2 * HOLD_S),
    st.integers(-2, 4),
)
@settings(max_examples=300)
def test_step_keeps_its_promises(
    said: list[str], size: int, stop: int, online: set[str], age_s: float, room: int
) -> None:
    made = targets(" ".join(said), age_s)
    found = next_step(made, size, stop, online, NOW, room)
    by_name = {target.appliance_id: target for target in made}
    assert len(found.offer) <= max(0, min(size, room))
    assert all(by_name[name].state == "pending" and name in online for name in found.offer)
    assert not (found.offer and found.end)
    assert not (found.offer and found.failures >= stop)
    assert (found.end == "finished") == all(
        target.state in DONE or target.appliance_id in found.lost for target in made
    )


def read(data: bytes) -> BundleManifest:
    return read_bundle(io.BytesIO(data), len(data))


def test_bundle_names_its_version_and_board() -> None:
    assert read(bundle_bytes("2.0-rc1+7", "board-x")) == BundleManifest("2.0-rc1+7", "board-x")


def _bundle(signature: bytes, length: int | None = None) -> bytes:
    return b"hsqs" + signature + (len(signature) if length is None else length).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no RAUC bundle"),
        (b"PK\x03\x04" + bytes(100), "no RAUC bundle"),
        (_bundle(b"", 0), "no signature"),
        (_bundle(b"x", 1 << 40), "no signature"),
        (_bundle(b"x" * 50), "damaged"),
        (_bundle(signed(manifest_of("1"))[:200]), "cut off"),
        (_bundle(signed(manifest_of("1"), detached=True)), "plain format"),
        (_bundle(signed(manifest_of("1", kind="plain"))), "expected verity"),
        (_bundle(signed(b"[update]\nversion=1\n")), "cannot be read"),
        (_bundle(signed(b"\xff\xfe")), "cannot be read"),
        (_bundle(signed(manifest_of("1" * 200))), "128 characters"),
        (_bundle(signed(manifest_of("1\x07"))), "printable"),
        (_bundle(b"\x30\x84\xff\xff\xff\xff" + b"x" * 60), "cut off"),
        (_bundle(b"\x30\x80" + b"x" * 60), "not in DER"),
    ],
)
def test_what_is_no_bundle_is_refused_with_a_reason(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(data)


def test_no_bundle_breaks_the_reader_however_it_is_damaged() -> None:
    whole, draw = bundle_bytes("1.0", payload_bytes=100), random.Random(4711)
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            read(bytes(data[: draw.choice([len(data), draw.randrange(len(data))])]))
        except InputError:
            continue


def test_manifest_has_no_surprises() -> None:
    assert parse_manifest(manifest_of("%(x)s", "${y}")) == BundleManifest("%(x)s", "${y}")


def test_bundle_of_rauc_itself_is_read(tmp_path: Path) -> None:
    """What `make bundle` makes."""
    content, key, certificate = tmp_path / "content", tmp_path / "key", tmp_path / "certificate"
    content.mkdir()
    (content / "rootfs.img").write_bytes(random.Random(1).randbytes(70_000))
    (content / "manifest.raucm").write_bytes(
        f"[update]\ncompatible={BOARD}\nversion=3.1\n\n[bundle]\nformat=verity\n\n"
        "[image.rootfs]\nfilename=rootfs.img\n".encode()
    )
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=signer")
    files = ("-keyout", key, "-out", certificate)
    subprocess.run(["openssl", "req", "-x509", *new_key, *files], check=True, capture_output=True)
    bundle = tmp_path / "bundle.raucb"
    signing = (f"--cert={certificate}", f"--key={key}")
    subprocess.run(["rauc", "bundle", *signing, content, bundle], check=True, capture_output=True)
    with bundle.open("rb") as file:
        assert read_bundle(file, bundle.stat().st_size) == BundleManifest("3.1", BOARD)
