"""``emperor-ctl show``: all that the daemon knows of a vassal."""

from typing import Any, Final

import click

from ..cli import commandline, terminal
from ..cli.vassals import due_text, hold_text, last_exit_text
from .asking import ask
from .completing import VASSALS
from .status import local
from .words import as_json, print_json, words

_TIMES: Final = ("since", "not_before", "last_heartbeat", "deadline")


@click.command("show", cls=commandline.Command)
@click.argument("name", shell_complete=VASSALS)
@as_json
@click.pass_obj
def command(path: str, name: str, as_json: bool) -> None:
    """All that the daemon knows of a vassal, with the paths of its config, log and socket."""
    vassal = ask(path, {"do": "show", "name": name})["vassal"]
    if as_json:
        print_json(vassal)
        return
    told = _in_words(vassal)
    for key, value in vassal.items():
        if value is not None:
            text = told.get(key) or words(value)
            style = terminal.of_phase(vassal["phase"]) if key == "phase" else ""
            print(f"{key.replace('_', ' ') + ':':16} {terminal.painted(text, style)}")


def _in_words(vassal: dict[str, Any]) -> dict[str, str | None]:
    """The values that are told in other words than those of the answer."""
    return {
        "due": due_text(vassal) or vassal.get("due"),
        "last_exit": last_exit_text(vassal),
        "hold": hold_text(vassal),
        **{key: local(vassal[key]) for key in _TIMES if vassal.get(key) is not None},
    }
