"""``graph``: the causes of a story as a tree: as text, DOT, SVG or JSON.

An event hangs under its recorded cause. One without a cause that is told hangs under the event
before it, whose state it met. One of a source, an operator, the daemon or another vassal does not.
A removal hangs under the doubt and the outage of its source. The opening of a change's addresses
hangs under the event that ordered it.

Of a period, the tree has the events of the period only. One line stands for each event before the
period under which one of them hangs.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple
from xml.sax.saxutils import escape

import msgspec

from ..monitors.names import shown
from . import clocks
from .periods import Period
from .rebuild import NotFound
from .story import Item, Story
from .why import item_record, line

Kind = Literal["cause", "state"]
_OUTSIDE: Final = frozenset(
    (
        "vassal_added",
        "vassal_changed",
        "vassal_removed",
        "vassal_destroyed",
        "operator_requested",
        "request_refused",
        "connection_waiting",
        "daemon_started",
        "daemon_stopping",
        "outage",
        "monitor_failed",
        "monitor_recovered",
        "listing_doubted",
        "omitted",
    )
)
BEFORE: Final = "before"  # the kind of the line that stands for an event before the period
_FAILURES: Final = frozenset(
    ("exited", "spawn_failed", "repeated", "heartbeat_lost", "health_lost", "outage")
)
_LEADS: Final = {
    "vassal_removed": ("listing_doubted", "monitor_recovered", "outage"),
    "listing_doubted": ("monitor_recovered", "outage"),
}
# Their recorded cause is the order to the process that runs meanwhile.
_OPENINGS: Final = ("listen_opened", "listen_refused")
_ROW: Final = 26  # pixels
_INDENT: Final = 24
_LETTER: Final = 7
_MOST: Final = 110  # letters of a label


class Node(msgspec.Struct):
    """An item of the story, the one it hangs under, and how deep."""

    item: Item
    parent: int | None = None
    kind: Kind = "cause"
    depth: int = 0


class Graph(NamedTuple):
    """The tree of a vassal's story, in the order of time."""

    name: str
    seq: int
    nodes: list[Node]
    altered: list[int]  # events that are told, and whose rows are not what was written


def graph(told: Story, period: Period) -> Graph:
    """The tree of a story at the end of a period. Raises NotFound where none of it is inside."""
    found, after = nodes(told.items), period.after
    if after is None:
        return Graph(told.name, told.seq, found, told.altered)
    inside = [node for node in found if (node.item.last or node.item.seq) > after]
    if not inside:
        raise NotFound(f"{shown(told.name)}: nothing led to its phase {period}; {_newest(found)}")
    altered = [seq for seq in told.altered if seq > after]
    return Graph(told.name, told.seq, _without_others(inside, found), altered)


def _newest(found: Sequence[Node]) -> str:
    return f"the newest cause is event {found[-1].item.seq}" if found else "none is known"


def _without_others(inside: Sequence[Node], found: Sequence[Node]) -> list[Node]:
    """The nodes ``inside``; of others, a line for each under which one of these hangs."""
    known = {node.item.seq: node for node in found}
    kept = {node.item.seq: node for node in inside}
    heads: dict[int, Node] = {}
    for node in inside:
        if node.parent is not None and node.parent not in kept and node.parent not in heads:
            kinds = {each.kind for each in inside if each.parent == node.parent}
            heads[node.parent] = Node(_head(known[node.parent].item, "cause" in kinds))
    by_number = {**heads, **kept}
    for node in inside:
        node.depth = 0 if node.parent is None else by_number[node.parent].depth + 1
    return list(by_number.values())


def _head(item: Item, is_cause: bool) -> Item:
    what = "caused by" if is_cause else "after"
    return Item(item.seq, item.at, BEFORE, f"… {what} event {item.seq}, before the period")


def nodes(items: Sequence[Item]) -> list[Node]:
    """The nodes of the tree, in the order of time."""
    found: dict[int, Node] = {}
    before: Item | None = None
    for item in items:
        node = Node(item)
        node.parent, node.kind = _parent(item, before, found)
        if node.parent is not None:
            node.depth = found[node.parent].depth + 1
        found[item.seq] = node
        before = item
    return list(found.values())


def _parent(item: Item, before: Item | None, found: dict[int, Node]) -> tuple[int | None, Kind]:
    if item.kind in _OPENINGS:
        for seq in reversed(found):
            if "listen" in found[seq].item.orders:
                return seq, "cause"
    if item.cause in found:
        return item.cause, "cause"
    for kind in _LEADS.get(item.kind, ()):
        for seq in reversed(found):
            if found[seq].item.kind == kind:
                return seq, "state"
    if before is None or item.kind in _OUTSIDE or item.foreign:
        return None, "cause"
    return before.seq, "state"


def _children(found: Sequence[Node]) -> dict[int | None, list[Node]]:
    children: dict[int | None, list[Node]] = {}
    for node in found:
        children.setdefault(node.parent, []).append(node)
    return children


# Text


def text(told: Graph) -> Iterator[str]:
    """A tree for people: a solid line from a cause, a dotted one from a state that was met."""
    children = _children(told.nodes)
    for root in children.get(None, []):
        yield from _branch(root, children, "", "")


def _branch(
    node: Node, children: dict[int | None, list[Node]], head: str, rest: str
) -> Iterator[str]:
    # Not by recursion: each death of a crash loop hangs under the one before.
    waiting = [(node, head, rest)]
    while waiting:
        now, head, rest = waiting.pop()
        yield head + _line(now.item, is_root=not head)
        below = children.get(now.item.seq, [])
        for number, child in reversed(list(enumerate(below))):
            last = number == len(below) - 1
            mark = "─" if child.kind == "cause" else "╴"
            corner = ("└" if last else "├") + mark + " "
            waiting.append((child, rest + corner, rest + ("   " if last else "│  ")))


def _line(item: Item, *, is_root: bool = False) -> str:
    """An item; on a terminal a root has the date and the zone as well."""
    if item.kind == BEFORE:
        return item.text
    when = clocks.in_line(item.at) if is_root and clocks.is_local() else clocks.told(item.at)[11:]
    return f"{when}  {line(item)}"


# DOT


def dot(told: Graph) -> Iterator[str]:
    """The graph for Graphviz."""
    yield "digraph causes {"
    yield f"  label={_dot(told.name)}; labelloc=t; rankdir=TB;"
    yield '  node [shape=box, style=rounded, fontname="sans-serif", fontsize=10];'
    found = told.nodes
    for node in found:
        yield f"  e{node.item.seq} [label={_dot(_label(node.item))}];"
    for node in found:
        if node.parent is not None:
            style = "" if node.kind == "cause" else " [style=dashed]"
            yield f"  e{node.parent} -> e{node.item.seq}{style};"
    yield "}"


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _label(item: Item) -> str:
    label = shown(_line(item))
    return label if len(label) <= _MOST else f"{label[: _MOST - 3]}..."


# SVG


def svg(told: Graph) -> Iterator[str]:
    """The tree as a picture, a row for each event."""
    found = told.nodes
    labels = [_label(node.item) for node in found]
    widths = [
        node.depth * _INDENT + len(label) * _LETTER
        for node, label in zip(found, labels, strict=True)
    ]
    width, height = max(widths, default=0) + 40, len(found) * _ROW + 40
    rows = {node.item.seq: number for number, node in enumerate(found)}
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="monospace" font-size="11">'
    )
    yield f"<title>{escape(shown(told.name))}</title>"
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    for node, label in zip(found, labels, strict=True):
        x, y = _place(node, rows)
        if node.parent is not None:
            parent_x, parent_y = _place(found[rows[node.parent]], rows)
            dashes = "" if node.kind == "cause" else ' stroke-dasharray="3 3"'
            yield (
                f'<path d="M{parent_x + 6} {parent_y + 6} V{y} H{x}" fill="none"'
                f' stroke="#888"{dashes}/>'
            )
        yield f'<circle cx="{x + 6}" cy="{y}" r="4" fill="{_colour(node.item)}"/>'
        yield f'<text x="{x + 16}" y="{y + 4}">{escape(label)}</text>'
    yield "</svg>"


def _place(node: Node, rows: dict[int, int]) -> tuple[int, int]:
    return 16 + node.depth * _INDENT, 24 + rows[node.item.seq] * _ROW


def _colour(item: Item) -> str:
    if item.kind in _FAILURES:
        return "#c33"
    if item.kind in ("vassal_accepting", "vassal_ready", "spawned"):
        return "#393"
    return "#36c" if item.kind in _OUTSIDE else "#888"


# JSON


def record(told: Graph) -> dict[str, Any]:
    """The graph for programs."""
    found = told.nodes
    return {
        "vassal": told.name,
        "seq": told.seq,
        "nodes": [item_record(node.item) for node in found],
        "edges": [
            {"from": node.parent, "to": node.item.seq, "kind": node.kind}
            for node in found
            if node.parent is not None
        ],
    }
