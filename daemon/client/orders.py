"""``emperor-ctl start``, ``stop``, ``restart``, ``reload``, ``retry`` and ``wait``.

A request is sent once. The daemon says which vassals it has recorded it for, and tells each of them
when it is done. If it is killed or replaced meanwhile, the next daemon is asked to wait for the
rest. That asks for nothing new.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final

import click

from ...monitors.names import shown
from ..cli import escapes
from ..cli.commandline import Command
from ..cli.digests import short
from ..cli.option_types import duration
from .asking import (
    NO_DAEMON,
    PATIENCE,
    REFUSED,
    Late,
    NoDaemon,
    Unanswered,
    complain,
    conversed,
    end,
    ended,
    refusal,
)
from .format import as_json as json_option
from .name_arguments import names_argument
from .progress import Bar

_AGAIN: Final = 0.1  # seconds until the next daemon is asked
_GRACE: Final = 5.0  # seconds for an answer after the time is over
_SHOWN: Final = 3  # names that are told of many

_TOLD: Final = ("phase", "config", "event", "error", "log")

_FORMER: Final = (
    "is of a former version and takes no such request; 'emperor-ctl upgrade' replaces it"
)


class Orders:
    """One request, and the outcome for each vassal as it comes."""

    def __init__(self, path: str, request: dict[str, Any], timeout: float, bar: Bar) -> None:
        self._path = path
        self._request = request
        self._until = time.monotonic() + timeout
        self._timeout = timeout
        self._bar = bar
        self._recorded: dict[str, None] = {}
        self._told: set[str] = set()
        self._total: int | None = None
        self.as_json = False
        self.failed = False

    def run(self) -> int:
        """Follow the request to its end; the exit code."""
        waits = self._request.get("wait", True)
        request = {**self._request, "timeout": self._timeout}
        last = self._follow(request, self._timeout + _GRACE if waits else PATIENCE)
        if last is None and not waits:
            end(NO_DAEMON, ended(self._path))
        while last is None:
            last = self._ask_again()
        return self._conclude(last)

    def _follow(self, request: dict[str, Any], patience: float) -> dict[str, Any] | None:
        """Take the lines of an answer; the last one, None where the daemon ended first."""
        with closing(conversed(self._path, request, patience)) as lines:
            for line in lines:
                if line.get("more") is not True:
                    return line
                self._note(line)
        return None

    def _note(self, line: dict[str, Any]) -> None:
        if "total" in line and self._total is None:
            self._total = int(line["total"])
            self._bar.expect(self._total)
        for text in line.get("unknown", ()):
            self._bar.line(f"emperor-ctl: {shown(text)}; waiting for it", error=True)
        self._recorded.update(dict.fromkeys(line.get("recorded", ())))
        name = line.get("name")
        if name is not None and name not in self._told:
            self._told.add(name)
            self._tell(name, line)
            self._bar.advance()

    def _tell(self, name: str, line: dict[str, Any]) -> None:
        if self.as_json:
            told = {key: line[key] for key in _TOLD if key in line}
            self._bar.line(escapes.encode({"name": name, **told}).decode())
        elif line["ok"]:
            self._bar.line(f"{shown(name)}: now {line['phase']}{_config(line)}")
        if not line["ok"]:
            self.failed = True
            self._bar.line(f"emperor-ctl: {refusal(line)}", error=True)

    def _ask_again(self) -> dict[str, Any] | None:
        """Ask the next daemon for the outcomes that are not told yet."""
        do = self._request["do"]
        if do != "wait" and self._total is None:
            end(NO_DAEMON, ended(self._path))
        left = self._until - time.monotonic()
        pending = self.pending
        if left <= 0:
            what = f"{_some(pending)}: {do} is recorded" if pending else f"{do} is not over"
            end(NO_DAEMON, f"{what}, but the daemon ended and no other came")
        time.sleep(_AGAIN)
        if do != "wait" and not pending:
            return {"ok": True}
        again = self._request
        if do != "wait":
            again = {"do": "wait", "names": pending, "for": self._goal}
        try:
            return self._follow({**again, "timeout": left}, left + _GRACE)
        except NoDaemon:
            return None  # the keeper starts one later

    @property
    def _goal(self) -> str:
        """The outcome to wait for. A cancelled rollback has the wanted config tried again."""
        return "retry" if self._request.get("cancel") is True else str(self._request["do"])

    @property
    def pending(self) -> list[str]:
        """Vassals for which a change is recorded, and of which the outcome is not told yet."""
        if self._request["do"] == "wait":
            return []
        return [name for name in self._recorded if name not in self._told]

    def unheard(self) -> str:
        """The fate of the request, for the end of the sentence that the daemon is late."""
        if self.pending:
            return f"; {_some(self.pending)}: {self._request['do']} is recorded"
        if self._request["do"] == "wait" or self._total is not None:
            return ""
        return "; it drops the request when it goes on, unless that is recorded already"

    def _conclude(self, last: dict[str, Any]) -> int:
        """Say what is left to say, after the last line."""
        missing = (self._total or 0) - len(self._told)
        if self._total is None and not last["ok"]:
            if last.get("error") == "there is no vassal None":
                last = {"error": f"the daemon {_FORMER}"}
            end(REFUSED, refusal(last))
        if missing > 0:
            self.failed = True
            text = f"{missing} of {self._total} vassals: the daemon ended before it was recorded"
            self._bar.line(f"emperor-ctl: {text}", error=True)
        elif not last["ok"] and (self._total or 0) > 1:
            self._bar.line(f"emperor-ctl: {shown(str(last.get('error')))}", error=True)
        left = last.get("left") or {}
        if left and not self.as_json:
            count = sum(left.values())
            phases = ", ".join(f"{each:,} {phase}" for phase, each in left.items())
            self._bar.line(f"{count:,} left as {'it is' if count == 1 else 'they are'}: {phases}")
        return REFUSED if self.failed or not last["ok"] else 0


def _some(names: Sequence[str]) -> str:
    text = ", ".join(map(shown, names[:_SHOWN]))
    others = len(names) - _SHOWN
    return f"{text} and {others:,} other{'' if others == 1 else 's'}" if others > 0 else text


def names_and_all(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command names or ``--all``; the function gets ``names`` and ``everything``."""
    function = click.option("--all", "everything", is_flag=True, help="All vassals.")(function)
    return names_argument(function)


def meant(names: Sequence[str], everything: bool) -> dict[str, Any]:
    """The fields of a request that say which vassals are meant."""
    if bool(names) == everything:
        raise click.UsageError("name vassals ('app-*' is a pattern), or say --all")
    return {"all": True} if everything else {"names": list(names)}


def timeout_option(function: Callable[..., None]) -> Callable[..., None]:
    """The option ``--timeout``, in seconds."""
    return click.option(
        "--timeout", type=duration(), metavar="DURATION", default="60s", show_default=True,
        help="How long to wait.",
    )(function)  # fmt: skip


def _own_options(do: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options that only this command has."""
    if do != "stop":
        return lambda function: function
    return click.option(
        "--keep-listening", is_flag=True,
        help="Leave 'listen' and on-demand addresses open: clients wait until the start.",
    )  # fmt: skip


def _command(do: str, text: str) -> click.Command:
    @click.command(do, cls=Command, help=text)
    @names_and_all
    @_own_options(do)
    @click.option("--reason", metavar="TEXT", default="", help="Why: it is recorded.")
    @timeout_option
    @click.option("--no-wait", is_flag=True, help="Do not wait: it is enough that it is recorded.")
    @json_option
    @click.pass_obj
    def command(
        path: str,
        names: Sequence[str],
        everything: bool,
        reason: str,
        timeout: float,
        no_wait: bool,
        as_json: bool,
        keep_listening: bool = False,
    ) -> None:
        request = {"do": do, **meant(names, everything), "wait": not no_wait}
        if keep_listening:
            request["keep_listening"] = True
        if reason:
            request["reason"] = reason
        sys.exit(run_order(path, request, timeout, f"{do}:", as_json))

    return command


def _config(line: dict[str, Any]) -> str:
    """The config to which a vassal went back."""
    if "config" not in line:
        return ""
    event = "archived" if line["event"] is None else f"event {line['event']}"
    return f", with config {short(line['config'])} ({event})"


def run_order(path: str, request: dict[str, Any], timeout: float, title: str, as_json: bool) -> int:
    """Send a request about vassals and follow it to its end; the exit code."""
    bar = Bar(title)
    orders = Orders(path, request, timeout, bar)
    orders.as_json = as_json
    try:
        with bar:
            return orders.run()
    except KeyboardInterrupt:
        if orders.pending:
            complain(f"{_some(orders.pending)}: {request['do']} is recorded, so it goes on")
        raise
    except Late as error:
        end(error.code, f"{error}{orders.unheard()}")
    except Unanswered as error:
        end(error.code, str(error))


STATES: Final = ("up", "accepting", "held", "gone")


@click.command(cls=Command)
@names_and_all
@click.option(
    "--for", "goal", type=click.Choice(STATES), default="up", show_default=True,
    help="up: ready at least; held: an operator's stop is done; gone: forgotten.",
)  # fmt: skip
@timeout_option
@json_option
@click.pass_obj
def wait(
    path: str, names: Sequence[str], everything: bool, goal: str, timeout: float, as_json: bool
) -> None:
    """Wait until vassals are up, without asking for anything.

    A NAME that no source has told yet is waited for. A throttled vassal is, too, as it tries again.
    --all and a pattern wait first until the daemon has read each of its sources once.
    Exits with 1 when the time is over, and when a vassal cannot come to that: it is barred, say.
    """
    request = {"do": "wait", **meant(names, everything), "for": goal}
    sys.exit(run_order(path, request, timeout, f"wait for {goal}:", as_json))


COMMANDS: Final = (
    _command(
        "start",
        "Start vassals that were stopped, are throttled or barred. Waits until they are ready.\n\n"
        "NAME is a vassal or a pattern ('app-*').",
    ),
    _command(
        "stop",
        "Stop vassals, and hold them until they are started.\n\nThey are held over restarts of the"
        " daemon and changes of their configs. Waits until their processes are gone. With"
        " --keep-listening no client is refused meanwhile; a later stop without it closes the"
        " addresses.\n\nNAME is a vassal or a pattern ('app-*').",
    ),
    _command(
        "restart",
        "Stop vassals and start them anew. Waits until the new processes are ready.\n\nNAME is a"
        " vassal or a pattern ('app-*'). Many are restarted a few at a time, as --max-starting"
        " allows. Those that are held stay so, and --all leaves them out.",
    ),
    _command(
        "reload",
        "Reload vassals in place. Waits until they are ready again.\n\nNAME is a vassal or a"
        " pattern ('app-*'). Many are reloaded a few at a time, as --max-starting allows.",
    ),
    _command(
        "retry",
        "Start throttled or barred vassals now. Waits until they are ready.\n\nNAME is a vassal or"
        " a pattern ('app-*').",
    ),
    wait,
)
