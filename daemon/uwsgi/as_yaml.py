"""An emperor's config as the file for ``--config``: YAML, each value below its line of before."""

import json
import re
from collections.abc import Iterator
from typing import Final

from ...monitors.names import shown
from .emperor_options import VARIABLES, Fate
from .plan import Entry, Plan

_LISTS: Final = (
    "monitor", "extra-extension", "vassal-set", "vassals-inherit", "vassals-include",
    "vassals-inherit-before", "vassals-include-before", "pidfile", "stats",
    "start-hook", "stop-hook", "exec-as-vassal", "exec-as-emperor", "wrapper-override",
    "wrapper-fallback",
)  # fmt: skip
_PLAIN: Final = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./+=-]*(?::[A-Za-z0-9_./+=-]+)*")
# YAML takes these for truth values, or for nothing.
_WORDS: Final = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
_FLAGS: Final = (
    "tyrant", "tyrant-nofollow", "tyrant-initgroups", "nofollow", "graceful-shutdown", "as-root",
)  # fmt: skip


def write(path: str, plan: Plan) -> str:
    """The text of the file for the config that was read from ``path``."""
    return "".join(f"{line}\n" for line in _lines(path, plan))


def _lines(path: str, plan: Plan) -> Iterator[str]:
    yield f"# The options of {shown(path)}, by 'emperor --migrate'."
    if refused := plan.with_fate(Fate.REFUSED):
        yield f"# {len(refused)} marked REFUSED would do harm if ignored: see to these first."
    values = plan.values()
    if "monitor" not in values:
        yield "# It has no emperor = line, so no source of vassals: write monitor: [DIRECTORY]."
    written: set[str] = set()
    told: set[str] = set()  # a loop repeats its options
    for entry in plan.entries:
        if entry.ours and entry.ours not in written:
            written.add(entry.ours)
            yield from _option(entry.ours, plan, values[entry.ours])
        elif not entry.ours and str(entry) not in told:
            told.add(str(entry))
            yield from _comment(entry)


def _option(ours: str, plan: Plan, values: list[Entry]) -> Iterator[str]:
    """An option of ours, below each of the lines that say something of it."""
    if ours not in _LISTS:
        for entry in plan.entries:
            if entry.ours == ours:
                yield from _source(entry)
        value = values[-1].value
        yield f"{ours}: {value if ours in _FLAGS else _scalar(value)}"
        return
    yield f"{ours}:"
    for entry in values:
        yield from _source(entry)
        yield f"- {_scalar(_kept(entry.value) if ours == 'monitor' else entry.value)}"


def _source(entry: Entry) -> Iterator[str]:
    yield f"# {entry.place}: {entry.line}"
    if entry.note:
        yield f"#   {entry.note}"


def _comment(entry: Entry) -> Iterator[str]:
    yield f"# {entry.place}: {entry.line}"
    mark = "REFUSED" if entry.fate is Fate.REFUSED else entry.fate.value
    if entry.option.key in VARIABLES:
        mark = "not in YAML"
    rule = f" ({entry.rule})" if entry.rule else ""
    yield f"#   {mark}{rule}: {entry.text}"


def _kept(monitor: str) -> str:
    """The monitor with its percent signs: in a path of the file these begin magic variables."""
    scheme, separator, _ = monitor.partition("://")
    path = not separator or scheme.lower() in ("dir", "glob")
    return monitor.replace("%", "%%") if path else monitor


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=True)
