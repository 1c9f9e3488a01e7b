"""How the figures are shown: a table for a terminal, and one for the page."""

import statistics
from typing import Any

OURS, THEIRS = "emperord", "C Emperor"


def figure(value: float, unit: str) -> str:
    """A figure that is easy to compare: two or three digits and a unit."""
    if unit == "s" and value < 0.1:
        return f"{value * 1e3:.3g} ms"
    if unit == "s":
        return f"{value:.2f} s"
    if unit == "%":
        return f"{value:.2g} %"
    if value >= 1000:
        return f"{value:,.0f} {unit}"
    return f"{value:.3g} {unit}"


def cell(found: dict[str, Any] | None, unit: str) -> str:
    """The median and the spread, or why there is none."""
    if not found or not found["runs"]:
        return "—"
    runs = found["runs"]
    middle = figure(statistics.median(runs), unit)
    if len(runs) < 2:
        return middle
    low, high = (figure(each(runs), unit) for each in (min, max))
    number, _, its = low.partition(" ")
    return f"{middle} ({number if high.endswith(its) else low} to {high})"


def ratio(row: dict[str, Any]) -> str:
    """Ours to the C Emperor's: below 1 it is less."""
    found = [row["cells"].get(name) for name in (OURS, THEIRS)]
    if not all(each and each["runs"] for each in found):
        return ""
    ours, theirs = (statistics.median(each["runs"]) for each in found if each)
    return f"{ours / theirs:.2g}" if theirs else ""


def lines(found: dict[str, Any]) -> list[list[str]]:
    """The head and the rows."""
    peers = [*found["versions"], *found["missing"]]
    both = OURS in peers and THEIRS in peers
    head = ["", *peers, *(["emperord to C Emperor"] if both else [])]
    rows = [
        [
            row["title"],
            *(cell(row["cells"].get(peer), row["unit"]) for peer in peers),
            *([ratio(row)] if both else []),
        ]
        for row in found["rows"].values()
    ]
    return [head, *rows]


def reasons(found: dict[str, Any]) -> list[str]:
    """Why cells are empty, and what else is to be known of one."""
    told = [f"{peer}: not installed: {why}" for peer, why in found["missing"].items()]
    for row in found["rows"].values():
        for peer, each in row["cells"].items():
            if each["reason"] or each["note"]:
                told.append(f"{row['title']}, {peer}: {each['reason'] or each['note']}")
    return told


def text(found: dict[str, Any]) -> str:
    """For a terminal."""
    rows = lines(found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = ["  ".join(f"{x:<{w}}" for x, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*(line.rstrip() for line in shown), "", *reasons(found)])
