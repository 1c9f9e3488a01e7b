"""``timeline``: lanes as one HTML file without network, or as SVG.

The page holds its data as JSON in a block that no browser executes. In that JSON, ``<``, ``>`` and
``&`` are ``\\u`` escapes, so no text can end the block. Its policy (CSP) allows the one script and
the one style that are in it, by their digests. It allows no other script, no image and no request.
"""

import base64
import hashlib
import html
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

import msgspec

from ..journal.times import for_people, rfc3339, took
from .lanes import SORTS, Bar, Lane, Lanes, Mark

# Colours of Okabe and Ito, which people with each kind of colour blindness can tell apart. Heights
# differ, too: a phase in which the vassal serves is high, one in which it waits is low.
PHASES: Final[dict[str, tuple[str, float]]] = {
    "accepting": ("#009e73", 1.0),
    "ready": ("#56b4e9", 0.9),
    "reloading": ("#f0e442", 0.9),
    "starting": ("#e69f00", 0.7),
    "stopping": ("#cc79a7", 0.7),
    "listening": ("#0072b2", 0.4),
    "queued": ("#b8a000", 0.4),
    "throttled": ("#d55e00", 0.4),
    "held": ("#8a8a8a", 0.25),
    "barred": ("#c03a5b", 0.25),
}
_GLYPHS: Final = {
    "deploy": "M-4 4 4 4 0 -4Z",
    "removal": "M-4 -4 4 -4 0 4Z",
    "death": "M-4 -4 4 4M4 -4 -4 4",
    "kill": "M-4 -4H4V4H-4Z",
    "operator": "M0 -4A4 4 0 1 0 0.1 -4Z",
    "daemon": "M0 -5 5 0 0 5 -5 0Z",
    "source": "M-4 0H4M0 -4V4",
}
_MILLISECOND: Final = 1_000_000
_LEFT, _WIDE, _HIGH, _TOP = 220, 1200, 18, 58


def page(lanes: Lanes) -> bytes:
    """The HTML file."""
    script, style = _asset("timeline.js"), _asset("timeline.css")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}';"
        " base-uri 'none'; form-action 'none'"
    )
    title = f"Timeline {_times(lanes)}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n{_CONTROLS}"
        f"{_legend()}{_CHART}{_table(lanes)}"
        f'<script type="application/json" id="data">{json_block(_data(lanes))}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    ).encode()


_CONTROLS: Final = (
    '<div id="controls" role="toolbar" aria-label="View">\n'
    '<label>Search <input id="search" type="search" autocomplete="off"></label>\n'
    '<button id="in" type="button" aria-label="Zoom in">+</button>\n'
    '<button id="out" type="button" aria-label="Zoom out">&minus;</button>\n'
    '<button id="all" type="button">All</button>\n'
    '<span id="shown" role="status"></span>\n</div>\n'
)
_CHART: Final = (
    '<div id="chart" tabindex="0" role="application" aria-describedby="help"'
    ' aria-label="Lanes of vassals"><canvas id="canvas"></canvas><div id="space"></div></div>\n'
    '<p id="help">Wheel: scroll; with Ctrl: zoom. Drag: pan. Keys: up and down choose a lane, left'
    " and right its marks, + and - zoom, 0 shows all, / searches.</p>\n"
    '<div id="tip" aria-hidden="true" hidden></div>\n'
    '<p id="said" aria-live="polite" class="apart"></p>\n'
)


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def json_block(value: Any) -> str:
    """JSON that can stand in a script block: no text in it can end the block or begin another."""
    text = msgspec.json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _data(lanes: Lanes) -> dict[str, Any]:
    """Lanes as flat lists of numbers: times are milliseconds since the beginning."""
    texts: dict[str, int] = {}
    phases = list(PHASES)

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    since = lanes.window.since

    def bars(lane: Lane) -> Iterator[float]:
        for bar in lane.bars:
            yield _ms(bar.begin, since)
            yield _ms(bar.end, since)
            yield phases.index(bar.phase)
            yield number(bar.reason)

    def marks(lane: Lane) -> Iterator[float]:
        for mark in lane.marks:
            yield _ms(mark.at, since)
            yield SORTS.index(mark.sort)
            yield number(mark.text)

    told = [
        {"name": lane.name, "bars": list(bars(lane)), "marks": list(marks(lane))}
        for lane in lanes.lanes
    ]
    return {
        "since": since / _MILLISECOND,
        "span": max(1, _ms(lanes.window.until, since)),
        "phases": [[name, colour, height] for name, (colour, height) in PHASES.items()],
        "sorts": [[sort, _GLYPHS[sort]] for sort in SORTS],
        "lanes": told,
        "texts": list(texts),
    }


def _ms(at: int, since: int) -> float:
    return round((at - since) / _MILLISECOND, 3)


def _times(lanes: Lanes) -> str:
    since, until = lanes.window.since, lanes.window.until
    return f"{for_people(since)[:19]} to {for_people(until)[:19]} UTC ({took(until - since)})"


def _legend() -> str:
    phases = "".join(
        f'<li><svg width="22" height="12" aria-hidden="true"><rect width="22" y="{6 - high * 6:g}"'
        f' height="{high * 12:g}" fill="{colour}"/></svg> {name}</li>'
        for name, (colour, high) in PHASES.items()
    )
    marks = "".join(
        '<li><svg width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">'
        f'<path class="mark" d="{_GLYPHS[sort]}"/></svg> {sort}</li>'
        for sort in SORTS
    )
    return f'<ul id="legend" aria-label="Legend">{phases}{marks}</ul>\n'


def _table(lanes: Lanes) -> str:
    """The same for those who do not see the chart: each lane's numbers."""
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("Vassal", "Last phase", "Deploys", "Deaths")
    )
    body = "".join(_table_row(lane) for lane in lanes.lanes[1:])
    return (
        f"<details><summary>As a table</summary><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></details>\n"
    )


def _table_row(lane: Lane) -> str:
    counts = [sum(mark.sort == sort for mark in lane.marks) for sort in ("deploy", "death")]
    last = lane.bars[-1].phase if lane.bars else "-"
    return (
        f'<tr><th scope="row">{html.escape(lane.name)}</th><td>{last}</td>'
        + "".join(f"<td>{number}</td>" for number in counts)
        + "</tr>"
    )


# SVG


def drawing(lanes: Lanes) -> bytes:
    """The SVG file."""
    named = lanes.lanes
    wide, high = _LEFT + _WIDE + 20, _TOP + len(named) * _HIGH + 10
    title = html.escape(f"Timeline {_times(lanes)}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}"',
        f' viewBox="0 0 {wide} {high}" role="img" aria-labelledby="title">\n',
        f'<title id="title">{title}</title>\n<style>{_SVG_STYLE}</style>\n',
        '<rect class="ground" width="100%" height="100%"/>\n',
        f'<text x="8" y="18">{title}</text>\n',
        *_svg_legend(),
        *(part for row, lane in enumerate(named) for part in _svg_lane(lanes, lane, row)),
        "</svg>\n",
    ]
    return "".join(parts).encode()


_SVG_STYLE: Final = (
    "text{font:12px sans-serif;fill:#111}.ground{fill:#fff}.mark{fill:none;stroke:#111;"
    "stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#eee}.ground{fill:#161616}"
    ".mark{stroke:#fff}}"
)


def _svg_legend() -> Iterator[str]:
    left = 8
    for name, (colour, _) in PHASES.items():
        yield f'<rect x="{left}" y="28" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{left + 16}" y="38">{name}</text>\n'
        left += 86
    for sort in SORTS:
        yield f'<path class="mark" transform="translate({left + 5} 34)" d="{_GLYPHS[sort]}"/>'
        yield f'<text x="{left + 16}" y="38">{sort}</text>\n'
        left += 74


def _svg_lane(lanes: Lanes, lane: Lane, row: int) -> Iterator[str]:
    top = _TOP + row * _HIGH
    since, span = lanes.window.since, max(1, lanes.window.until - lanes.window.since)

    def place(at: int) -> float:
        return round(_LEFT + (at - since) / span * _WIDE, 2)

    name = lane.name if len(lane.name) <= 32 else f"{lane.name[:31]}…"
    yield f'<g><text x="8" y="{top + 13}">{html.escape(name)}</text>'
    for bar in lane.bars:
        colour, high = PHASES[bar.phase]
        left, wide = place(bar.begin), max(0.3, place(bar.end) - place(bar.begin))
        tall = high * (_HIGH - 4)
        yield (
            f'<rect x="{left}" y="{top + (_HIGH - tall) / 2:g}" width="{wide:g}"'
            f' height="{tall:g}" fill="{colour}"><title>{html.escape(_bar_text(bar))}</title>'
            "</rect>"
        )
    for mark in lane.marks:
        yield (
            f'<path class="mark" transform="translate({place(mark.at)} {top + _HIGH // 2})"'
            f' d="{_GLYPHS[mark.sort]}"><title>{html.escape(_mark_text(mark))}</title></path>'
        )
    yield "</g>\n"


def _bar_text(bar: Bar) -> str:
    reason = f": {bar.reason}" if bar.reason else ""
    return f"{bar.phase}{reason}, {for_people(bar.begin)} UTC for {took(bar.end - bar.begin)}"


def _mark_text(mark: Mark) -> str:
    return f"{mark.text}, {rfc3339(mark.at)}"
