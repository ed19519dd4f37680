"""What comes out: pairs of measurements, the median of their ratios, a table and a JSON file."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """The same thing measured with ours and with the other, one right after the other."""

    ours: float
    other: float


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table. ``wanted`` bounds the ratio; without it, or without another's name, it is only told."""

    figure: str
    unit: str
    other_name: str
    pairs: tuple[Pair, ...]
    wanted: float | None = None
    more_is_better: bool = True

    @property
    def ours(self) -> float:
        """Median of ours."""
        return statistics.median(pair.ours for pair in self.pairs)

    @property
    def other(self) -> float:
        """Median of the other's."""
        return statistics.median(pair.other for pair in self.pairs)

    @property
    def ratio(self) -> float:
        """Median of the ratios: noise that hits both of a pair cancels out."""
        return statistics.median(pair.ours / pair.other if pair.other else 0.0 for pair in self.pairs)

    @property
    def met(self) -> bool | None:
        """Whether the ratio is what was wanted."""
        if self.wanted is None:
            return None
        return self.ratio >= self.wanted if self.more_is_better else self.ratio <= self.wanted


_VERDICTS = {True: "met", False: "not met", None: ""}


def table(results: Sequence[Result]) -> str:
    """Return the table for people."""
    rows = [("figure", "unit", "ours", "other", "", "ratio", "wanted", "")]
    for result in results:
        sign = ">=" if result.more_is_better else "<="
        wanted = f"{sign} {result.wanted:g}" if result.wanted is not None else ""
        rows.append(
            (
                result.figure,
                result.unit,
                _short(result.ours),
                _short(result.other) if result.other_name else "",
                result.other_name,
                f"{result.ratio:.2f}" if result.other_name else "",
                wanted,
                _VERDICTS[result.met],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = {0, 1, 4, 7}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write everything that was measured, each pair too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        asdict(result) | {"ours": result.ours, "other": result.other, "ratio": result.ratio, "met": result.met}
        for result in results
    ]
    whole = {"machine": platform.platform(), "python": platform.python_version(), "results": rows}
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
