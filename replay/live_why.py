"""``emperor-ctl why``: the chain of causes, in the words of ``emperor-replay why``.

The daemon says which journal it writes. This program reads it, because a long story would keep the
daemon from its work. A user who may not read the journal has the story from the daemon. The file is
here, and not beside the other commands of ``emperor-ctl``, because nothing of the daemon imports
``replay``. ``daemon/ctl.py`` finds it by its name.
"""

import os
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import click

from ..daemon.cli import commandline
from ..daemon.client.asking import REFUSED, ask, end
from ..daemon.client.format import as_json, print_json
from ..daemon.client.name_arguments import some_names_argument
from ..daemon.client.status import local
from ..journal.errors import JournalError
from ..journal.reading import Reader, open_journal
from ..monitors.names import shown
from . import line_styles, why
from .altered_rows import complaint
from .clocks import keep_utc
from .rebuild import NotFound
from .several import meant
from .story import Story

_DAMAGED = 3  # the exit code


@click.command("why", cls=commandline.Command)
@some_names_argument
@as_json
@click.pass_obj
def command(path: str, names: tuple[str, ...], as_json: bool) -> None:
    """The chain of causes that led to a vassal's present phase. NAME may be a pattern ('app-*').

    The words are those of emperor-replay why, which knows the past as well.
    """
    if as_json:
        keep_utc()
    status = ask(path, {"do": "status"})["status"]
    journal = journal_of(status)
    if not os.access(journal, os.R_OK):
        damage = _from_daemon(path, names, as_json)
    else:
        damage = _from_journal(journal, names, as_json)
    for line in () if as_json else _rejections(status, names):
        print(line)
    if damage:
        end(_DAMAGED, damage)


def _rejections(status: dict[str, Any], names: Sequence[str]) -> Iterator[str]:
    """A line for each of these vassals whose source has something now that is rejected."""
    for each in status.get("attention", ()):
        if each["what"] != "rejected":
            continue
        name = each["vassal"]
        if any(name == told or fnmatchcase(name, told) for told in names):
            since, reason = local(each["since"]), shown(each["reason"])
            yield f"{shown(name)}: its change is rejected: {reason} (since {since})"


def _from_daemon(path: str, names: Sequence[str], as_json: bool) -> str | None:
    """Print the stories as the daemon tells them; its complaint if there is one."""
    answer = ask(path, {"do": "why", "names": list(names), "json": as_json})
    if as_json:
        print_json(answer["story"])
    else:
        commandline.page()
        for line in line_styles.story(answer["lines"]):
            print(line)
    complaint: str | None = answer.get("complaint")
    return complaint


def _from_journal(journal: str, names: tuple[str, ...], as_json: bool) -> str | None:
    try:
        with open_journal(journal) as reader:
            return _tell(reader, names, as_json)
    except NotFound as error:
        end(REFUSED, shown(str(error)))
    except JournalError as error:
        end(REFUSED, shown(str(error)))
    except OSError as error:
        end(REFUSED, f"the daemon's journal: {shown(commandline.os_error_text(error))}")


def journal_of(status: dict[str, Any]) -> str:
    """The path of the daemon's journal, also where the daemon was given a relative one."""
    told = str(status["journal"])
    if os.path.isabs(told):
        return told
    try:
        return os.path.join(os.readlink(f"/proc/{status['pid']}/cwd"), told)
    except OSError:
        return told


def _tell(reader: Reader, names: tuple[str, ...], as_json: bool) -> str | None:
    """Print the stories; a complaint where one has an event that is not as it was written."""
    found, several = meant(reader, names)
    stories = why.Stories(reader, found, reader.head.seq, time.time_ns())
    told = [stories.tell(name) for name in found]
    if as_json:
        records = [why.record(reader, story) for story in told]
        print_json(records if several else records[0])
    else:
        commandline.page()
        for place, story in enumerate(told):
            _print(reader, story, apart=place > 0)
    altered = sorted({seq for story in told for seq in story.altered})
    return complaint(reader, altered) if altered else None


def _print(reader: Reader, story: Story, *, apart: bool) -> None:
    if apart:
        print()
    for line in line_styles.story(why.lines(reader, story)):
        print(line)
