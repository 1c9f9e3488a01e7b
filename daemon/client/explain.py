"""``emperor-ctl explain``: how vassals would be started now, and where each part comes from."""

from typing import Any

import click

from ...monitors.names import shown
from ..cli import commandline
from ..cli.digests import short
from .asking import ask
from .format import as_json, as_text, print_json
from .name_arguments import some_names_argument
from .show import is_one, several


@click.command("explain", cls=commandline.Command)
@some_names_argument
@as_json
@click.pass_obj
def command(path: str, names: tuple[str, ...], as_json: bool) -> None:
    """Show how vassals would be started, and why so.

    It prints command line, environment and config, each part with its origin. NAME is a vassal or a
    pattern ('app-*').
    """
    chosen = names if is_one(names) else [each["name"] for each in several(path, names)]
    answers = [ask(path, {"do": "explain", "name": name})["explanation"] for name in chosen]
    if as_json:
        print_json(answers[0] if [*chosen] == [*names] and len(names) == 1 else answers)
        return
    for place, answer in enumerate(answers):
        if place:
            print()
        _print(answer)


def _print(answer: dict[str, Any]) -> None:
    user = answer["user"]
    print(f"{shown(answer['name'])}, from {shown(answer['monitor'])}")
    for key, value in (
        ("in", answer["cwd"]),
        ("as", user and f"uid {user['uid']}, gid {user['gid']}, groups {user['groups']}"),
        ("on demand at", answer["socket"]),
        ("limits", as_text(answer["limits"]) if answer["limits"] else None),
    ):
        if value is not None:
            print(f"{key}: {shown(value)}")
    _list_origins("runs", [(each["word"], each["from"]) for each in answer["argv"]])
    environment = [(f"{e['name']}={e['value']}", e["from"]) for e in answer["environment"]]
    _list_origins("environment", environment)
    digest, text = answer["config"], answer["text"]
    file = "" if answer["path"] is None else ", a file"
    print(f"config {'none' if digest is None else short(digest)}{file}:")
    for line in (text or "").splitlines():
        print(f"  {shown(line)}")
    for note in answer["notes"]:
        print(f"note: {shown(note)}")


def _list_origins(title: str, rows: list[tuple[str, str]]) -> None:
    print(f"{title}:")
    width = max((len(shown(what)) for what, _ in rows if len(what) <= 50), default=0)
    for what, origin in rows:
        print(f"  {shown(what).ljust(width)}  ({shown(origin)})")
