"""An invitation is found in pictures of its QR code, however they were taken; anything else is told in one line."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from gatelink.claims import Claim, Fingerprint, claim_text
from gatelink.exceptions import InputError
from lm_client.cli import run
from lm_client.exceptions import NoCode
from lm_client.pictures import Picture, invitation_in, read_picture

INVITATION = claim_text(
    Claim("user", "i" * 16, b"s" * 16, ("gm.example.com", "192.0.2.1"), Fingerprint("7f" * 20, b"k" * 32), "anna")
)
CLAIM = claim_text(Claim("appliance", "c1", b"s" * 16, ("gm.example.com",)))


def _drawn(text: str, scale: int = 5) -> Image.Image:
    """As the portal draws it."""
    code = segno.make(text, error="l", boost_error=False)
    rows = [bytes(0 if cell else 255 for cell in row) for row in code.matrix_iter(scale=scale, border=2)]
    return Image.frombytes("L", (len(rows[0]), len(rows)), b"".join(rows))


def _photo(image: Image.Image) -> Image.Image:
    """Held askew, unevenly lit, a little out of focus, with grain."""
    width, height = image.width * 2, image.height * 2
    photo = Image.new("RGB", (width, height), (150, 140, 120))
    photo.paste(image.convert("RGB"), (image.width // 3, image.height // 2))
    photo = photo.rotate(17, resample=Image.Resampling.BICUBIC, fillcolor=(90, 90, 80))
    shade = Image.linear_gradient("L").resize((width, height))
    photo = Image.composite(photo, Image.new("RGB", (width, height), (60, 60, 60)), shade.point(lambda p: 120 + p // 2))
    grain = random.Random(6)
    noise = Image.frombytes("L", (width, height), grain.randbytes(width * height)).convert("RGB")
    return Image.blend(photo, noise, 0.08).filter(ImageFilter.GaussianBlur(1.0))


def _transparent(image: Image.Image) -> Image.Image:
    """Dark dots on nothing."""
    found = Image.new("RGBA", image.size, (0, 0, 0, 0))
    found.paste((0, 0, 0, 255), mask=image.point(lambda p: 255 - p))
    return found


@pytest.mark.parametrize(
    ("ending", "taken"),
    [
        ("png", _drawn),
        ("png", lambda text: _transparent(_drawn(text))),
        ("png", lambda text: _drawn(text).convert("P")),
        ("gif", _drawn),
        ("jpg", lambda text: _photo(_drawn(text))),
        ("jpg", lambda text: _photo(_drawn(text, 14))),
        ("webp", lambda text: _photo(_drawn(text)).rotate(90, expand=True)),
    ],
)
def test_invitation_is_found_however_its_picture_was_taken(
    tmp_path: Path, ending: str, taken: Callable[[str], Image.Image]
) -> None:
    for text in (INVITATION, f"https://gm.example.com/invitation#{INVITATION}"):
        taken(text).save(tmp_path / f"picture.{ending}")
        assert invitation_in(read_picture(tmp_path / f"picture.{ending}")) == text


def test_invitation_is_found_beside_other_codes() -> None:
    wide = Image.new("L", (1400, 700), 255)
    wide.paste(_drawn("https://example.com/", 6), (20, 20))
    wide.paste(_drawn(INVITATION), (700, 100))
    assert invitation_in(Picture(*wide.size, wide.tobytes())) == INVITATION


def test_person_is_told_what_the_picture_shows_when_it_is_no_invitation(tmp_path: Path) -> None:
    for text, why in (
        (CLAIM, "for the other side"),
        ("https://example.com", "no invitation"),
        (INVITATION[:-3], "cut off"),
    ):
        image = _drawn(text)
        with pytest.raises(InputError, match=why):
            invitation_in(Picture(*image.size, image.tobytes()))
    with pytest.raises(NoCode, match="no QR code is found"):
        invitation_in(Picture(200, 200, bytes(40000)))
    broken = tmp_path / "broken.png"
    _drawn(INVITATION).save(broken)
    broken.write_bytes(broken.read_bytes()[:200])
    for path, why in (
        (broken, "damaged"),
        (tmp_path / "absent.png", "No such file"),
        (tmp_path, "Is a directory"),
        (Path(__file__), "no picture that can be read"),
    ):
        with pytest.raises(InputError, match=why):
            read_picture(path)


def test_size_is_bounded_before_anything_is_decoded(tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    Image.new("1", (12000, 12000)).save(huge)
    with pytest.raises(InputError, match="12000 x 12000 pixels: take a smaller"):
        read_picture(huge)
    for width, height, size in ((0, 10, 0), (10, 10, 99), (10000, 1, 10000), (5000, 5000, 25_000_000)):
        with pytest.raises(InputError, match=f"{width} x {height}"):
            invitation_in(Picture(width, height, bytes(size)))


@given(st.integers(1, 64), st.integers(1, 64), st.randoms())
def test_any_pixels_are_looked_through_without_an_error_of_another_kind(
    width: int, height: int, chance: random.Random
) -> None:
    with pytest.raises(InputError):
        invitation_in(Picture(width, height, chance.randbytes(width * height)))


def test_command_says_what_to_install_when_pillow_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATELINK_LM_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert run(["redeem", "--qr", "picture.png"]) == 2
    assert "apt install python3-pil" in (said := capsys.readouterr().err)
    assert len(said.splitlines()) == 1
    assert run(["redeem"]) == 2
    assert run(["redeem", INVITATION, "--qr", "picture.png"]) == 2
    assert capsys.readouterr().err.count("give the invitation, or --qr") == 2


def test_page_is_started_without_what_decodes_pictures() -> None:
    program = "import sys, lm_client.page.app; print([n for n in ('PIL', 'zxingcpp') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
