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
    if unit == "KB":
        return f"{value:.2g} KB"
    if value >= 1000 or not unit:
        return f"{value:,.0f} {unit}".strip()
    return f"{value:.3g} {unit}"


def cell(found: dict[str, Any] | None, unit: str) -> str:
    """The median and the spread, or why there is none."""
    if not found or not found["runs"]:
        return "—"
    runs = found["runs"]
    middle = figure(statistics.median(runs), unit)
    if min(runs) == max(runs):
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


def lines(found: dict[str, Any], rows: dict[str, Any], columns: list[str]) -> list[list[str]]:
    """The head and the rows of one table."""
    both = OURS in columns and THEIRS in columns
    head = ["", *columns, *(["emperord to C Emperor"] if both else [])]
    body = [
        [
            row["title"],
            *(cell(row["cells"].get(column), row["unit"]) for column in columns),
            *([ratio(row)] if both else []),
        ]
        for row in rows.values()
    ]
    return [head, *body]


def tables(found: dict[str, Any]) -> dict[str, list[list[str]]]:
    """All of them, by what they are of."""
    told: dict[str, list[list[str]]] = {}
    if found["rows"]:
        told["peers"] = lines(found, found["rows"], [*found["versions"], *found["missing"]])
    for name in ("apps", "floor"):
        if rows := found.get(name):
            columns = dict.fromkeys(peer for row in rows.values() for peer in row["cells"])
            told[name] = lines(found, rows, list(columns))
    return told


def has_figures(found: dict[str, Any]) -> bool:
    return any(
        cell["runs"]
        for name in ("rows", "apps", "floor")
        for row in found.get(name, {}).values()
        for cell in row["cells"].values()
    )


def reasons(found: dict[str, Any]) -> list[str]:
    """Why cells are empty, and what else is to be known of one: a line for each row."""
    told = [f"{peer}: not installed: {why}" for peer, why in found["missing"].items()]
    for name in ("rows", "apps"):
        for row in found.get(name, {}).values():
            of: dict[str, list[str]] = {}
            for peer, each in row["cells"].items():
                if why := each["reason"] or each["note"]:
                    of.setdefault(why, []).append(peer)
            if of:
                words = ". ".join(f"{', '.join(peers)}: {why}" for why, peers in of.items())
                told.append(f"{row['title']}: {words}")
    return told


def aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = ["  ".join(f"{x:<{w}}" for x, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in shown)


def text(found: dict[str, Any]) -> str:
    """For a terminal."""
    return "\n\n".join([*map(aligned, tables(found).values()), "\n".join(reasons(found))])
