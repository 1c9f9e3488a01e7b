"""The figures on the page: docs/performance.md between two marks; docs/peers.svg and .json."""

import json
import math
import statistics
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from . import table
from .table import OURS, THEIRS, figure

DOCS = Path(__file__).resolve().parents[3] / "docs"
COLOURS = ("#c0392b", "#1f6feb", "#7a7a7a", "#c9a227")  # of the peers, in their order
LEFT, RIGHT, STEP, TOP = 330, 560, 26, 60  # pixels of the chart
SIZES = ("rss", "pss", "anonymous")


def write(found: dict[str, Any], docs: Path = DOCS) -> None:
    """Write all three anew."""
    (docs / "peers.json").write_text(json.dumps(found, indent=1) + "\n")
    (docs / "peers.svg").write_text(chart(found))
    put(docs / "performance.md", "peers", markdown(found))


def put(page: Path, mark: str, text: str) -> None:
    """Put a text between the two marks of a page."""
    before, begin, rest = page.read_text().partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- end of {mark} -->\n")
    if not begin or not end:
        raise SystemExit(f"{page} has no marks for {mark}")
    page.write_text(f"{before}{begin}{text}\n{end}{after}")


def grid(rows: list[list[str]]) -> str:
    """A table of Markdown."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def measured(found: dict[str, Any]) -> str:
    """The begin of a sentence: when and on what the figures were measured."""
    here = found["machine"]
    return (
        f"Measured on {found['made']} on {here['cores']} cores, with Python {here['python']}"
        f" and {here['file system']}"
    )


def markdown(found: dict[str, Any]) -> str:
    """All that is on the page between the marks."""
    peers = ", ".join(f"{name} ({version})" for name, version in found["versions"].items())
    shown = table.tables(found)
    parts = [
        (
            f"{measured(found)}.\nThe peers: {peers}."
            f"\nThe tiny vassal is {found['vassal']}."
            " Each cell has the median, and in parentheses the least and the most."
        )
    ]
    if "peers" in shown:
        parts += [grid(shown["peers"]), *_bullets(table.reasons(found))]
        parts.append(
            "![Each peer's figure divided by the C Emperor's, on a logarithmic scale](peers.svg)"
        )
    if "apps" in shown:
        parts += ["### Real applications", APPS, grid(shown["apps"])]
    if "floor" in shown:
        parts += ["### The floor of this machine", FLOOR, grid(shown["floor"])]
        parts += ["### Where each millisecond goes", *_milliseconds(found)]
        parts += ["### Where each megabyte goes", *_megabytes(found)]
        parts += ["### How near the limit is", LIMITS, grid(_limits(found))]
    return "\n\n".join(parts)


APPS = (
    "Each is a Python application under uWSGI 2.0, at a port of its own, with imports such as real"
    " ones have.\nA client for each port asks ten times a second, with one connection a request."
    " The answers take processor time too, so\nan emperor whose first applications serve early has"
    " its last ones a little later. After a `kill -9` the keeper starts\nthe next daemon. The C"
    " Emperor is started again at once, and its applications have ended with it."
)
FLOOR = (
    "No supervisor can start, commit or be smaller than this, in its language, on this machine.\n"
    "*Python that records each start* imports the modules of the daemon. For each vassal it reads"
    " the config,\nstarts the program with a socket pair, which another process holds too, and a"
    " log. It reads the pid and the start\ntime, and appends four events to a journal. *Python that"
    " records each end* tells all to stop, and waits for them\ntogether. It tells each death to the"
    " other process, signals the group, reaps the vassal, closes its descriptors, and\nappends an"
    " event. Neither has a fold, an event loop, a watch or checks."
)

LIMITS = (
    "Each row has our figure beside the least that this machine allows for the same work, measured"
    "\nin the same run. The last column says of which work that is."
)

BARE = "[the least of a start that is recorded](#the-floor-of-this-machine)"


def _limits(found: dict[str, Any]) -> list[list[str]]:
    """Our figures beside the floor."""
    rows = [["", "emperord", "the floor", "the floor is"]]

    def row(name: str, floor: str, words: str, times: float = 1.0) -> None:
        ours, least = _median(found, name, OURS), _median(found, floor, "here", "floor")
        if ours is not None and least is not None:
            title, unit = found["rows"][name]["title"], found["rows"][name]["unit"]
            rows.append([title, figure(ours, unit), figure(least * times, unit), words])

    row("start", "popen", "`Popen` of the same vassals in a loop, and Python does nothing else")
    row("start", "c-loop", "the same loop in C")
    for name in ("start", "start-few-files"):
        row(name, "bare-start", BARE)
    row("start-tenth", "bare-tenth", BARE)
    row("touch-one", "commit", "one commit, as the change is durable before the vassal is told")
    row("touch-half", "commit", "one commit")
    row("stop", "bare-stop", "[the least of a stop that is recorded](#the-floor-of-this-machine)")
    row("idle", "look", "one stat of each file every three seconds", 100 / 3)
    row("resident", "python-rss", "two processes of Python without a module", 2)
    row("resident", "libraries-rss", "the libraries of the daemon, without a module of ours")
    row("resident", "daemon-rss", "the modules of the daemon, without a keeper and a vassal")
    for name in ("again", "answered"):
        row(name, "daemon-start", "Python's start, the daemon's modules, and its end")
    return rows


def _bullets(lines: list[str]) -> list[str]:
    return ["\n".join(f"- {line}." for line in lines)] if lines else []


def _median(found: dict[str, Any], name: str, peer: str, rows: str = "rows") -> float | None:
    runs = found.get(rows, {}).get(name, {}).get("cells", {}).get(peer, {}).get("runs")
    return statistics.median(runs) if runs else None


def _milliseconds(found: dict[str, Any]) -> Iterator[str]:
    """The parts of a start, for one vassal."""
    count = found["sizes"]["vassals"]
    peers = [peer for peer in found["versions"] if "start" in found["parts"].get(peer, {})]
    rows = [["a start, for each vassal", *peers]]

    def row(title: str, values: list[float | None]) -> None:
        rows.append([title, *("—" if x is None else f"{x / count * 1e3:.3f} ms" for x in values)])

    row("time from the first to the last, divided", [_median(found, "start", p) for p in peers])
    spent = [found["parts"][peer]["start"] for peer in peers]
    theirs = "its vassals, from the fork on"
    row("processor time of its own processes", [_sum(each, theirs) for each in spent])
    row("processor time of the vassals, from the fork on", [each[theirs] for each in spent])
    yield grid(rows)
    least = {name: _median(found, name, "here", "floor") for name in ("c-loop", "popen", "commit")}
    alone = _median(found, "vassals-cpu", "here", "floor")
    told = (
        (
            f"A loop in C takes {_ms(least['c-loop'], count)} for each of {count:,}, and `Popen`"
            f" {_ms(least['popen'], count)}."
        ),
        (
            f"Of that the vassal itself takes {_ms(alone, count)} of a core: `execve`, and the"
            " system calls that it makes."
        ),
        (
            f"A commit takes {_ms(least['commit'], 1)}. One commit serves all that waits,"
            " so a start of many shares a few."
        ),
        (
            "The C Emperor has each child close every number up to the limit of open files."
            " That is why its start is faster with few."
        ),
    )
    yield "\n".join(f"- {line}" for line in told if "—" not in line)


def _sum(parts: dict[str, float], without: str) -> float:
    return sum(seconds for name, seconds in parts.items() if name != without)


def _ms(seconds: float | None, count: int) -> str:
    return "—" if seconds is None else f"{seconds / count * 1e3:.3f} ms"


def _megabytes(found: dict[str, Any]) -> Iterator[str]:
    rows = [["process", "RSS", "PSS", "anonymous"]]
    for name in ("python", "keeper", "daemon"):
        title = found["floor"][f"{name}-rss"]["title"].partition(": ")[2].partition(" (")[0]
        least = [_median(found, f"{name}-{x}", "here", "floor") or 0.0 for x in SIZES]
        rows.append([title, *(figure(size, "MB") for size in least)])
    for peer, parts in found["parts"].items():
        for each in parts.get("memory", ()):
            sizes = (each[key] for key in SIZES)
            role = _role(peer, each["process"])
            rows.append([role, *(figure(size, "MB") for size in sizes)])
    yield grid(rows)
    told = [
        (
            "RSS counts a page of a library in each process that has it, PSS shares it between"
            " them. Anonymous pages\nare a process's own: the heap, where modules and vassals are."
        )
    ]
    for each in found["parts"].get(OURS, {}).get("memory", ()):
        role = "daemon" if "daemon" in each["process"] else "keeper"
        modules = _median(found, f"{role}-anonymous", "here", "floor") or 0.0
        count = found["sizes"]["vassals"]
        more = (each["anonymous"] - modules) * 1024 / count
        told.append(
            f"Of the anonymous pages of our {role}, {figure(modules, 'MB')} are Python and modules;"
            f" the rest is\n{more:.1f} KB for each of {count:,} vassals."
        )
    yield "\n".join(told)


def _role(peer: str, command: str) -> str:
    if peer != OURS:
        return peer
    return "emperord: daemon" if "daemon" in command else "emperord: keeper"


def chart(found: dict[str, Any]) -> str:
    """Dots on a logarithmic scale: how each peer compares with the C Emperor, row by row."""
    peers = list(found["versions"])
    shown: list[tuple[str, dict[str, float]]] = []
    for name, row in found["rows"].items():
        base = _median(found, name, THEIRS)
        values = {peer: _median(found, name, peer) for peer in peers}
        dots = {peer: x / base for peer, x in values.items() if x and base}
        if len(dots) > 1:
            shown.append((row["title"], dots))
    low, high = 0.001, 1000.0
    height = TOP + STEP * len(shown) + 20
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + RIGHT + 30}" height="{height}"'
            ' font-family="sans-serif" font-size="12">'
        ),
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="38" fill="#444">times the C Emperor&#39;s; left is less</text>',
    ]
    for at, peer in enumerate(peers):
        x = 20.0 + at * 130
        lines.append(f'<circle cx="{x}" cy="16" r="5" fill="{COLOURS[at]}"/>')
        lines.append(f'<text x="{x + 10}" y="20">{escape(peer)}</text>')
    for power in range(-3, 4):
        x = _place(10.0**power, low, high)
        lines.append(
            f'<line x1="{x}" x2="{x}" y1="{TOP - 4}" y2="{height - 10}"'
            f' stroke="{"#888" if not power else "#ddd"}"/>'
        )
        lines.append(
            f'<text x="{x}" y="{TOP - 8}" text-anchor="middle" fill="#444">{10.0**power:g}</text>'
        )
    for number, (title, dots) in enumerate(shown):
        y = TOP + STEP * number + 16
        lines.append(f'<text x="10" y="{y + 4}">{escape(title.replace("`", ""))}</text>')
        for peer, value in dots.items():
            x, colour = _place(value, low, high), COLOURS[peers.index(peer)]
            lines.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/>')
    return "\n".join([*lines, "</svg>", ""])


def _place(value: float, low: float, high: float) -> float:
    share = math.log(min(max(value, low), high) / low) / math.log(high / low)
    return round(LEFT + share * RIGHT, 1)
