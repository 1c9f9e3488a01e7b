"""An emperor's config, option by option: what of it is taken as which option of ours.

Numbers and flags are read as uWSGI reads them. A number ends at the first character that is none.
A flag is off for ``0``, ``no``, ``off`` and ``false`` only.
"""

import dataclasses
import os
import re
from collections.abc import Iterable
from typing import Final

from ...monitors.names import shown
from ...monitors.urls import without_secrets
from ..cli.nearest import did_you_mean, nearest_words
from . import hook_actions
from .emperor_options import PROGRAM, RIGHTS, Fate, Kind, Row, find, known
from .reader import Option

_OFF: Final = ("0", "no", "off", "false")
_OF_TYRANT: Final = ("tyrant-nofollow", "tyrant-initgroups")
_ROOT: Final = ("root", "0")
_PATHS: Final = ("dir", "glob")
_LONGEST: Final = 120  # characters of a value that are told
_HOOKS: Final = {
    Kind.HOOK: hook_actions.of_hook,
    Kind.MOUNT: hook_actions.of_mount,
    Kind.UMOUNT: hook_actions.of_umount,
}
_READ: Final = {**_HOOKS, Kind.NAMESPACES: hook_actions.namespaces}
_IN_TURN: Final = (*_HOOKS, Kind.MANY)  # the order in which uWSGI runs these around a start
_MANY: Final = (*_HOOKS, Kind.MANY, Kind.MONITOR)
_UNKNOWN: Final = "it is no option of an emperor, and has no effect"
_IGNORED: Final = "uWSGI ignores a value of this kind; write a text"
_COMMENT: Final = re.compile(r"\s[;#]")
_NO_COMMENT: Final = "uWSGI takes the comment as a part of the value; move it to its own line"
_ROOTS_GROUP: Final = (
    "vassals of root have root's group; write chown-socket = root:GROUP into their configs, or"
    " another uid"
)
_WORDS: Final = ("exec-as-vassal", "exec-as-emperor", "start-hook", "stop-hook", "on-demand-exec")


@dataclasses.dataclass(slots=True)
class Entry:
    """An option of the config, its fate, and ours with its value where it is taken."""

    option: Option
    fate: Fate
    text: str
    ours: str = ""
    value: str = ""
    rule: str = ""
    note: str = ""  # a likely mistake in an option that is taken

    @property
    def place(self) -> str:
        """The file and the line."""
        line = f":{self.option.line}" if self.option.line else ""
        return f"{shown(self.option.file)}{line}"

    @property
    def line(self) -> str:
        """The line of the file, without secrets: a variable, or an unknown option, may be one."""
        written = without_secrets(self.option.written)
        row = find(self.option.key)
        if row is None:
            written = "…"
        elif row.kind is Kind.VARIABLE:
            written = f"{written.partition('=')[0]}=…"
        if len(written) > _LONGEST:
            written = f"{written[:_LONGEST]}…"
        return shown(f"{self.option.key} = {written}")

    def __str__(self) -> str:
        return f"{self.place}: {self.line}: {self.text or self.note}"


@dataclasses.dataclass(slots=True)
class Plan:
    """All options in their order."""

    entries: list[Entry]
    environment: dict[str, str]  # for vassals

    def with_fate(self, fate: Fate) -> list[Entry]:
        """Those with this fate."""
        return [entry for entry in self.entries if entry.fate is fate]

    def values(self) -> dict[str, list[Entry]]:
        """The entries that give each option of ours its value, or its values."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.fate is Fate.TAKEN and entry.ours:
                found.setdefault(entry.ours, []).append(entry)
        for ours in ("exec-as-vassal", "exec-as-emperor"):
            found.get(ours, []).sort(key=lambda entry: _IN_TURN.index(_row(entry).kind))
        return {
            ours: entries if _row(entries[-1]).kind in _MANY else entries[-1:]
            for ours, entries in found.items()
        }


def make(options: Iterable[Option]) -> Plan:
    """The plan for the options of a config."""
    plan = Plan([], {})
    for option in options:
        row = find(option.key)
        if option.ignored:
            plan.entries.append(Entry(option, Fate.WARNED, _IGNORED))
        elif option.done:
            continue
        elif row is None:
            plan.entries.append(_unknown(option))
        elif row.fate is not Fate.TAKEN:
            plan.entries.append(Entry(option, row.fate, row.text, rule=row.rule))
        else:
            plan.entries.append(_taken(option, row, plan))
    _settle_directory(plan)
    _settle_users(plan)
    return plan


def _row(entry: Entry) -> Row:
    row = find(entry.option.key)
    assert row is not None, entry.option.key
    return row


def _unknown(option: Option) -> Entry:
    if option.used:
        return Entry(option, Fate.NEEDLESS, "it is a placeholder")
    near = did_you_mean(nearest_words(option.key, known()))
    return Entry(option, Fate.WARNED, f"{_UNKNOWN}; {near}" if near else _UNKNOWN)


def _taken(option: Option, row: Row, plan: Plan) -> Entry:
    ours, value = row.text, option.value.strip()
    if row.kind is Kind.FLAG:
        if value.lower() in _OFF:
            return Entry(option, Fate.NEEDLESS, "it is off")
        return Entry(option, Fate.TAKEN, "", ours, "true")
    if not value:
        return Entry(option, Fate.WARNED, "it has no value")
    if row.kind in (Kind.SECONDS, Kind.MILLISECONDS):
        number = re.match(r"\+?([0-9]{1,18})", value)
        if number is None or not int(number[1]):
            return Entry(option, Fate.WARNED, "it is no number above 0, so the default stands")
        return Entry(option, Fate.TAKEN, "", ours, f"{int(number[1])}{row.kind.value}")
    if row.kind in _READ:
        try:
            return Entry(option, Fate.TAKEN, "", ours, _READ[row.kind](value))
        except hook_actions.NoCommand as reason:
            rule = RIGHTS if row.kind is Kind.NAMESPACES else PROGRAM
            return Entry(option, Fate.REFUSED, str(reason), rule=rule)
    if row.kind is Kind.LOG and ":" in value:
        return Entry(option, Fate.WARNED, "a log is a file here; no line goes to a UDP address")
    if row.kind is Kind.VARIABLE:
        name, equals, text = option.value.partition("=")
        if not equals or not name:
            return Entry(option, Fate.WARNED, "it is no NAME=VALUE")
        plan.environment[name] = text
        told = f'write Environment="{name}=…" into the unit'
        return Entry(option, Fate.TAKEN, told)
    url = row.kind is Kind.MONITOR and "://" in value
    mistaken = _COMMENT.search(value) and not url and ours not in _WORDS
    return Entry(option, Fate.TAKEN, "", ours, value, note=_NO_COMMENT if mistaken else "")


def _settle_directory(plan: Plan) -> None:
    """Have relative paths begin in the directory of ``chdir``, as uWSGI goes there first."""
    entries = [each for each in plan.with_fate(Fate.TAKEN) if _row(each).kind is Kind.DIRECTORY]
    for entry in entries:
        entry.ours = ""
        entry.text = "relative monitors begin there"
    if not entries:
        return
    directory = entries[-1].value
    for entry in plan.with_fate(Fate.TAKEN):
        if _row(entry).kind is Kind.MONITOR:
            entry.value = _under(directory, entry.value)
        elif entry.ours == "on-demand-directory":
            entry.value = os.path.join(directory, entry.value)


def _under(directory: str, monitor: str) -> str:
    scheme, separator, path = monitor.rpartition("://")
    if separator and scheme.lower() not in _PATHS:
        return monitor
    return f"{scheme}{separator}{os.path.join(directory, path)}"


def _settle_users(plan: Plan) -> None:
    """Make one ``user`` of uid and gid. Tyrant mode takes the users of its vassals' configs."""
    taken = plan.with_fate(Fate.TAKEN)
    tyrant = any(entry.ours == "tyrant" for entry in taken)
    for entry in taken:
        if entry.ours in _OF_TYRANT and not tyrant:
            _turn(entry, Fate.NEEDLESS, "it is for emperor-tyrant")
    users = [entry for entry in taken if _row(entry).kind is Kind.USER]
    uids = [entry for entry in users if entry.option.key.endswith("uid")]
    gids = [entry for entry in users if entry.option.key.endswith("gid")]
    if tyrant:
        for entry in users:
            _turn(
                entry,
                Fate.NEEDLESS,
                "vassals run as the users of their configs; the daemon as root",
            )
        return
    if not uids:
        for entry in gids:
            _turn(entry, Fate.WARNED, "a group needs a user as well: write uid, too")
        return
    if uids[-1].value in _ROOT:
        _settle_root(users, gids)
        return
    # Both lines have the whole: the last line of a file counts, whichever it is.
    whole = ":".join([uids[-1].value, *(entry.value for entry in gids[-1:])])
    for entry in users:
        entry.value = whole


def _settle_root(users: list[Entry], gids: list[Entry]) -> None:
    """Take root. Vassals of root have its group, so another one is warned of, and not taken."""
    for entry in users:
        if entry in gids and gids[-1].value not in _ROOT:
            _turn(entry, Fate.WARNED, _ROOTS_GROUP)
        else:
            entry.ours, entry.value = "as-root", "true"


def _turn(entry: Entry, fate: Fate, text: str) -> None:
    entry.fate, entry.text, entry.ours, entry.value = fate, text, "", ""
