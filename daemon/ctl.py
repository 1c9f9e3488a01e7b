"""``emperor-ctl``: asks a running daemon, over its control socket."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from ..monitors.names import shown
from ..version import VERSION
from .cli import commandline, completion
from .cli.commandline import Group
from .cli.option_types import duration
from .client.asking import NO_DAEMON, REFUSED, ask
from .client.asking import accepted as _accepted
from .client.asking import answer as _answer
from .client.asking import end as _end
from .client.completing import socket_of
from .client.format import print_json
from .client.orders import COMMANDS as ORDERS
from .client.synonyms import HINTS

_AGAIN: Final = 0.1  # seconds until the next daemon is asked
_WORDS: Final = "emperord.ctl.words"  # in the context: the command line
_LONG: Final = 3600.0  # seconds for a copy of a journal to be verified


# Commands in modules of their own, which are imported when they are needed.
_LATE: Final = {
    "archive": ".client.archive",
    "backup": ".client.backup",
    "check": ".client.check",
    "events": "..replay.live_events",
    "explain": ".client.explain",
    "list": ".client.listing",
    "logs": ".client.logs",
    "rollback": ".client.rollback",
    "rollout": ".client.rollout",
    "show": ".client.show",
    "status": ".client.status",
    "top": ".client.top",
    "why": "..replay.live_why",
}
# Other words for some commands, which no list of commands has.
_ALIASES: Final = {"journal": "events", "log": "logs", "tail": "events"}


class _Commands(Group):
    """A group of which some commands are imported late: ``why`` and ``events`` need ``replay``."""

    hints = HINTS

    def make_context(
        self, info_name: str | None, args: list[str], *more: Any, **kwargs: Any
    ) -> click.Context:
        as_text = tuple(args)
        with self._refusing(as_text):
            context = super().make_context(info_name, args, *more, **kwargs)
        context.meta[_WORDS] = as_text
        return context

    def invoke(self, ctx: click.Context) -> Any:
        with self._refusing(ctx.meta[_WORDS]):
            return super().invoke(ctx)

    def _refusing(self, as_text: Sequence[str]) -> AbstractContextManager[None]:
        """How an error of usage before the command's name is told: ``check`` is a plugin."""
        commands = self.list_commands(click.Context(self))
        if next(filter(commands.__contains__, as_text), None) != "check":
            return nullcontext()
        from .client.check import wrong_words_are_unknown  # late, as the command itself

        return wrong_words_are_unknown(as_text)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_LATE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = _ALIASES.get(cmd_name, cmd_name)
        if name not in _LATE:
            return super().get_command(ctx, name)
        module = import_module(_LATE[name], __package__)
        command: click.Command = module.command
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--control",
    metavar="PATH",
    shell_complete=completion.files,
    envvar="EMPEROR_CONTROL",
    help="The daemon's control socket.  [default: the default journal's path + .sock]",
)
@click.version_option(VERSION, prog_name="emperor-ctl")
@click.pass_context
def cli(context: click.Context, control: str | None) -> None:
    """Ask a running daemon, or have it do something.

    Exit codes: 0 done; 1 refused or failed, the reason on stderr; 2 usage; 3 something wants
    attention (status); 4 no daemon there. Those of check are its own.
    """
    context.obj = socket_of(control)


def _statuses(path: str, timeout: float) -> Iterator[dict[str, Any]]:
    """The status of the daemon, again and again until the time is up; empty while none answers."""
    until = time.monotonic() + timeout
    while True:
        left = max(0.0, until - time.monotonic())
        answer = _answer(path, {"do": "status"}, left)
        yield {} if answer is None else _accepted(answer)["status"]
        if not left:
            return
        time.sleep(_AGAIN)


def _next_daemon(path: str, former: int, timeout: float) -> dict[str, Any]:
    """Version and pid of the daemon that answers instead of the former one."""
    status: dict[str, Any] = {}
    for status in _statuses(path, timeout):
        if status.get("pid", former) != former:
            return {"version": status["version"], "pid": status["pid"]}
    if not status:
        _end(NO_DAEMON, "the former daemon has ended, and no other answers; its log says why")
    return _end(REFUSED, f"the daemon is still the one with pid {former}; its log says why")


def _goes_on(path: str, former: int, timeout: float) -> None:
    """Wait until the daemon that was estranged has its journal, or another is estranged again."""
    for status in _statuses(path, timeout):
        if status and status["estranged"] is None:
            return
        if status.get("pid", former) != former:
            _end(REFUSED, f"the daemon died meanwhile; estranged: {shown(status['estranged'])}")
    _end(REFUSED, "the daemon does not go on yet; its log says why")


def _as_json(function: Callable[..., None]) -> Callable[..., None]:
    return click.option("--json", "as_json", is_flag=True, help="As JSON.")(function)


def _waiting(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--timeout",
        type=duration(),
        metavar="DURATION",
        default="60s",
        show_default=True,
        help="How long to wait.",
    )(
        click.option(
            "--no-wait", is_flag=True, help="Do not wait: it is enough that it is recorded."
        )(function)
    )


def _reasoning(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--reason", metavar="TEXT", default="", help="Why: it is recorded with the request."
    )(function)


def _asking(do: str, reason: str, **more: Any) -> dict[str, Any]:
    """A request for a change, with its operator's reason if one is given."""
    return {"do": do, **more, **({"reason": reason} if reason else {})}


for _command in ORDERS:
    cli.add_command(_command)


@cli.command()
@_reasoning
@_as_json
@click.pass_obj
def reopen(path: str, reason: str, as_json: bool) -> None:
    """Have the daemon reopen its log, and log the fleet.

    SIGUSR1 does the same. After a rotation, its log goes on in a new file. Vassals that still write
    to a renamed log are told; each goes on in a new one at its next start.
    """
    answer = ask(path, _asking("reopen", reason))
    if as_json:
        print_json(answer)
        return
    print("reopened")
    for name, file in answer["renamed_logs"].items():
        print(f"{shown(name)}: still writes to {shown(file)}")


@cli.command()
@_reasoning
@_waiting
@_as_json
@click.pass_obj
def upgrade(path: str, timeout: float, no_wait: bool, as_json: bool, reason: str) -> None:
    """Replace the daemon by the installed version; vassals run on.

    Waits until the next daemon answers.
    """
    former = ask(path, {"do": "status"})["status"]["pid"]
    answer = ask(path, _asking("upgrade", reason))
    if not no_wait:
        answer = _next_daemon(path, former, timeout)
    if as_json:
        print_json(answer)
    elif not no_wait:
        print(f"now version {shown(str(answer['version']))}, pid {answer['pid']}")


@cli.command()
@_reasoning
@_waiting
@_as_json
@click.pass_obj
def adopt(path: str, timeout: float, no_wait: bool, as_json: bool, reason: str) -> None:
    """Let an estranged daemon go on with the journal that it has.

    A daemon is estranged when its journal is not the one that the vassals run for: it was lost,
    cut or replaced. Vassals that run are taken over when their sources name them; none is started
    twice. Waits until the daemon goes on.
    """
    former = ask(path, {"do": "status"})["status"]["pid"]
    answer = ask(path, _asking("adopt", reason))
    if not no_wait:
        _goes_on(path, former, timeout)
    if as_json:
        print_json(answer)
    else:
        print(f"goes on after event {answer['after']}")


@cli.command()
@click.argument("file", type=click.Path())
@_reasoning
@_waiting
@_as_json
@click.pass_obj
def restore(
    path: str, file: str, timeout: float, no_wait: bool, as_json: bool, reason: str
) -> None:
    """Let an estranged daemon go on with a copy of its journal.

    FILE is the copy of the journal that was lost. It is verified first, and copied. Vassals that
    were started after it was made are taken over when their sources name them; none is started
    twice. Waits until the daemon goes on.
    """
    former = ask(path, {"do": "status"})["status"]["pid"]
    answer = ask(path, _asking("restore", reason, file=os.path.abspath(file)), _LONG)
    if not no_wait:
        _goes_on(path, former, timeout)
    if as_json:
        print_json(answer)
    else:
        lost = f"; {answer['lost']} events are lost" if answer["lost"] else ""
        print(f"goes on after event {answer['after']}{lost}")


def main() -> NoReturn:
    """The command ``emperor-ctl``."""
    commandline.run(cli, "emperor-ctl")


if __name__ == "__main__":
    main()
