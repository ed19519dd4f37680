"""Pictures that the server draws: QR codes and plots over time, as SVG without styles of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import segno
from markupsafe import Markup, escape

WIDTH: Final = 720
HEIGHT: Final = 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 12, 10, 22
_LINES: Final = 3


class Point(msgspec.Struct, frozen=True):
    """A value at a moment; None: there is none, and no line."""

    at: float
    value: float | None


class Curve(msgspec.Struct, frozen=True):
    """What is drawn in one colour: ``kind`` is its class in the style sheet."""

    kind: str
    name: str
    points: Sequence[Point]


class Span(msgspec.Struct, frozen=True):
    """A time that is marked."""

    begin: float
    end: float


def qr_code(text: str, label: str) -> Markup:
    """Return a QR code; it is dark on light whatever the page is, as readers want it."""
    code = segno.make(text, error="l", boost_error=False)
    size = code.symbol_size(border=2)[0]
    cells = [
        f"M{column} {row}h1v1h-1z"
        for row, line in enumerate(code.matrix_iter(border=2))
        for column, cell in enumerate(line)
        if cell
    ]
    return Markup(
        '<svg class="qr" viewBox="0 0 {size} {size}" role="img" aria-label="{label}" shape-rendering="crispEdges">'
        '<rect width="{size}" height="{size}" fill="#fff"/><path d="{path}" fill="#000"/></svg>'
    ).format(size=size, label=label, path="".join(cells))


def plot(
    label: str, curves: Sequence[Curve], begin: float, end: float, unit: str, marked: Iterable[Span] = ()
) -> Markup:
    """Return curves over the time from ``begin`` to ``end``, from zero up; ``marked`` spans lie behind them."""
    most = max((point.value for curve in curves for point in curve.points if point.value is not None), default=0.0)
    top, step = _scale(most)

    def x(at: float) -> float:
        return _LEFT + (at - begin) / (end - begin) * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
    for span in marked:
        left, right = x(max(span.begin, begin)), x(min(span.end, end))
        width = max(right - left, 1)
        parts.append(
            f'<rect class="gap" x="{left:.1f}" y="{_TOP}" width="{width:.1f}" height="{HEIGHT - _TOP - _BOTTOM}"/>'
        )
    for number in range(_LINES + 1):
        value = number * step
        height = y(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {height:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{_short(value, unit)}</text>')
    for at, text in _moments(begin, end):
        parts.append(f'<text x="{x(at):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{text}</text>')
        parts.append(f'<path class="tick" d="M{x(at):.1f} {HEIGHT - _BOTTOM}v4"/>')
    for curve in curves:
        path = _path([(x(point.at), None if point.value is None else y(point.value)) for point in curve.points])
        parts.append(f'<path class="curve {curve.kind}" d="{path}"><title>{escape(curve.name)}</title></path>')
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - numbers, and texts that are escaped above


def _path(points: Sequence[tuple[float, float | None]]) -> str:
    drawn, text = False, []
    for x, y in points:
        if y is None:
            drawn = False
            continue
        text.append(f"{'L' if drawn else 'M'}{x:.1f} {y:.1f}")
        drawn = True
    return "".join(text)


def _scale(most: float) -> tuple[float, float]:
    """Return the top of the scale and the distance of its lines: 1, 2, 5 and their tenfolds."""
    needed = max(most, 1e-9) / _LINES
    power = 1.0
    while power * 10 <= needed:
        power *= 10
    while power > needed:
        power /= 10
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= needed)
    return step * _LINES, step


def _short(value: float, unit: str) -> str:
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g} {letter}{unit}"
    return f"{value:g} {unit}"


def _moments(begin: float, end: float) -> list[tuple[float, str]]:
    """Return where the time is written: at whole days, or hours of them for a short time."""
    days = (end - begin) / 86400
    step_s, form = (86400, "%d %b") if days > 2.5 else (6 * 3600, "%H:%M")
    while (end - begin) / step_s > 8:
        step_s *= 2
    first = (int(begin) // step_s + 1) * step_s
    return [(at, datetime.fromtimestamp(at, UTC).strftime(form)) for at in range(first, int(end), step_s)]
