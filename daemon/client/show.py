"""``emperor-ctl show``: all that the daemon knows of vassals."""

from collections.abc import Sequence
from typing import Final

import click

from ...monitors.names import shown
from ..cli import commandline, terminal
from ..cli.digests import short
from ..cli.nearest import is_pattern
from ..cli.vassals import due_text, hold_text, last_exit_text, second_text
from ..core.rollout_text import part_text
from . import choosing
from .asking import REFUSED, ask, end
from .format import as_json, as_text, print_json
from .name_arguments import some_names_argument
from .status import local

_TIMES: Final = ("since", "not_before", "last_heartbeat", "deadline")


@click.command("show", cls=commandline.Command)
@some_names_argument
@as_json
@click.pass_obj
def command(path: str, names: tuple[str, ...], as_json: bool) -> None:
    """All that the daemon knows of vassals.

    The paths of config, log and socket are among it. NAME is a vassal or a pattern ('app-*').
    """
    vassals: Sequence[choosing.Record]
    if is_one(names):
        vassals = [ask(path, {"do": "show", "name": names[0]})["vassal"]]
    else:
        vassals = several(path, names)
    if as_json:
        single = len(names) == 1 and [each["name"] for each in vassals] == [*names]
        print_json(vassals[0] if single else vassals)
        return
    for place, vassal in enumerate(vassals):
        if place:
            print()
        _print(vassal)


def is_one(names: Sequence[str]) -> bool:
    """Whether it is one name and no pattern, so that the fleet need not be looked through."""
    return len(names) == 1 and not is_pattern(names[0])


def several(path: str, names: Sequence[str]) -> Sequence[choosing.Record]:
    """The vassals of these names and patterns. Ends the program where one of them fits none."""
    fleet = ask(path, choosing.request(names))
    try:
        return choosing.select(fleet["vassals"], {}, names)
    except choosing.Unknown as error:
        end(REFUSED, str(error))


def _print(vassal: choosing.Record) -> None:
    told = _in_words(vassal)
    for key, value in vassal.items():
        if value is not None:
            text = told.get(key) or as_text(value)
            style = terminal.of_phase(vassal["phase"]) if key == "phase" else ""
            print(f"{key.replace('_', ' ') + ':':16} {terminal.painted(text, style)}")


def _refusal(refused: choosing.Record | None) -> str | None:
    return None if refused is None else f"{shown(refused['reason'])} (event {refused['seq']})"


def _rejection(rejected: choosing.Record | None) -> str | None:
    if rejected is None:
        return None
    return f"{shown(rejected['reason'])} (since {local(rejected['since'])})"


def _second(vassal: choosing.Record) -> str | None:
    second = vassal.get("candidate")
    if second is None:
        return None
    reason = "" if second["reason"] is None else f": {shown(second['reason'])}"
    pid = "no process yet" if second["pid"] is None else f"pid {second['pid']}"
    return f"{second_text(vassal)}, {pid}, config {short(second['config'])}{reason}"


def _in_words(vassal: choosing.Record) -> dict[str, str | None]:
    """The values that are told in other words than those of the answer."""
    return {
        "due": due_text(vassal) or vassal.get("due"),
        "last_exit": last_exit_text(vassal),
        "hold": hold_text(vassal),
        "refused": _refusal(vassal.get("refused")),
        "rolled_back": _refusal(vassal.get("rolled_back")),
        "rollout": part_text(vassal.get("rollout")) or None,
        "candidate": _second(vassal),
        "rejected": _rejection(vassal.get("rejected")),
        **{key: local(vassal[key]) for key in _TIMES if vassal.get(key) is not None},
    }
