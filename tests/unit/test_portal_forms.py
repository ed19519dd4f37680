"""What browsers send: bounded, from our own pages alone; pictures and the feed of changes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from starlette.requests import Request

from gatelink.exceptions import InputError
from gm_server.exceptions import Forbidden
from gm_server.service.live import WATCHERS_PER_USER, Change, Feed, Watch
from gm_server.web import images
from gm_server.web.forms import MAX_BODY_BYTES, MAX_FIELDS, Form, check_csrf, csrf_token, read_form

SECRET = b"s" * 32


def _request(body: bytes = b"", headers: Mapping[str, str] | None = None) -> Request:
    usual = {"content_type": "application/x-www-form-urlencoded", "host": "gm.example.com"}
    sent = usual | dict(headers or {})
    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
    }
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]

    async def receive() -> dict[str, object]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    return Request(scope, receive)


def test_form_is_read_when_it_is_one() -> None:
    form = asyncio.run(read_form(_request(b"name=press+1&day=mon&day=tue&empty=&password=+x+")))
    assert form.text("name") == "press 1"
    assert form.all("day") == ["mon", "tue"]
    assert (form.raw("password"), form.text("password")) == (" x ", "x")
    assert (form.flag("empty"), form.flag("name"), "empty" in form) == (False, True, True)
    assert Form([("n", "12")]).number("n", "x") == 12
    with pytest.raises(InputError):
        Form([("n", "12a")]).number("n", "x")


@pytest.mark.parametrize(
    "request_",
    [
        _request(b"x=" + b"y" * MAX_BODY_BYTES),
        _request(b"&".join(b"a=b" for _ in range(MAX_FIELDS + 1))),
        _request(b"a=\xff"),
        _request(b"{}", {"content_type": "application/json"}),
        _request(b"--x", {"content_type": "multipart/form-data; boundary=x"}),
    ],
    ids=["too long", "too many fields", "no text", "json", "multipart"],
)
def test_form_is_refused_when_it_is_too_much_or_something_else(request_: Request) -> None:
    with pytest.raises(InputError):
        asyncio.run(read_form(request_))


def test_form_is_taken_when_it_is_of_this_session_alone() -> None:
    good = Form([("csrf", csrf_token(SECRET))])
    check_csrf(_request(), good, SECRET)
    ours = {"origin": "https://gm.example.com", "sec_fetch_site": "same-origin"}
    check_csrf(_request(headers=ours), good, SECRET)
    wrong: tuple[tuple[Form, dict[str, str]], ...] = (
        (Form(), {}),
        (Form([("csrf", csrf_token(b"t" * 32))]), {}),
        (Form([("csrf", "é")]), {}),
        (good, {"sec_fetch_site": "cross-site"}),
        (good, {"sec_fetch_site": "same-site"}),
        (good, {"origin": "https://evil.example"}),
        (good, {"origin": "null"}),
    )
    for form, headers in wrong:
        with pytest.raises(Forbidden):
            check_csrf(_request(headers=headers), form, SECRET)


def test_qr_code_is_dark_on_light_and_named() -> None:
    code = images.qr_code("gatelink-claim-" + "x" * 200, 'a <"name">')
    assert "&lt;&#34;name&#34;&gt;" in code
    assert 'fill="#fff"' in code
    assert "style" not in code


def test_plot_has_gaps_where_nothing_is_known() -> None:
    points = [images.Point(at, None if at == 30 else float(at)) for at in range(0, 60, 10)]
    text = str(images.plot("<latency>", [images.Curve("first", "<one>", points)], 0, 60, "ms", [images.Span(20, 40)]))
    [path] = re.findall(r'class="curve first" d="([^"]*)"', text)
    assert path.count("M") == 2
    assert "<latency>" not in text
    assert "<one>" not in text
    assert 'class="gap"' in text
    assert images.plot("empty", [], 0, 60, "ms")


@pytest.mark.parametrize("most", [0.0, 0.4, 1, 7, 99, 12345, 9.9e9])
def test_plot_reaches_above_its_highest_value(most: float) -> None:
    curve = images.Curve("first", "x", [images.Point(1.0, most)])
    heights = [
        float(height) for height in re.findall(r"[ML][\d.]+ ([\d.-]+)", str(images.plot("x", [curve], 0, 2, "B")))
    ]
    assert all(0 <= height <= images.HEIGHT for height in heights)


def test_changes_are_merged_when_a_watcher_is_slow() -> None:
    async def scenario() -> None:
        feed = Feed()
        async with feed.watch("usr-1") as watch:
            for number in range(1000):
                feed.tell(Change({f"sm-{number % 3}": "acme"}, records=number == 7, users=False))
            change = await watch.take(1.0)
            assert change == Change({"sm-0": "acme", "sm-1": "acme", "sm-2": "acme"}, records=True, users=False)
            began = time.monotonic()
            assert await watch.take(0.05) is None
            assert time.monotonic() - began >= 0.04
        assert len(feed) == 0

    asyncio.run(scenario())


def test_oldest_watch_gives_way_when_a_person_has_too_many() -> None:
    async def scenario() -> None:
        feed = Feed()
        opened: list[Watch] = []

        async def hold(user_id: str) -> AsyncIterator[Watch]:
            async with feed.watch(user_id) as watch:
                yield watch

        holders = [hold("usr-1") for _ in range(WATCHERS_PER_USER + 2)] + [hold("usr-2")]
        opened = [await anext(holder) for holder in holders]
        assert [watch.is_over for watch in opened] == [True, True, *[False] * (WATCHERS_PER_USER + 1)]
        assert await opened[0].take(5.0) is None
        for holder in holders:
            await holder.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())
