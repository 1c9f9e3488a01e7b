"""The options that run commands around each vassal, confine it, and choose its wrapper."""

import os
import shlex
import shutil
from collections.abc import Mapping
from typing import Any, Final

import click

from ..journal.policy import Policy
from .host import command
from .host.confinement import CAPABILITIES, NAMESPACES, Confinement
from .host.hooks import Hooks
from .option_kinds import Decorator, option

_LONGEST: Final = 4096  # characters of a command


class _Lines(click.types.StringParamType):
    """Lines for a shell; in the environment one a line, because they hold blanks."""

    def split_envvar_value(self, rv: str) -> list[str]:
        return [line.strip() for line in rv.splitlines() if line.strip()]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(super().convert(value, param, ctx))
        if not text.isprintable() or len(text) > _LONGEST:
            self.fail(f"it is no command of one line with {_LONGEST} characters at most")
        if not text.strip():
            self.fail("it has no word")
        return text


class _Commands(_Lines):
    """Commands that no shell reads."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = super().convert(value, param, ctx)
        try:
            shlex.split(text)
        except ValueError as wrong:
            self.fail(f"{text!r} is no command: {wrong}")
        return text


def uwsgi_binary() -> Decorator:
    """uWSGI itself, where no wrapper is in its place."""
    return option(
        "--uwsgi",
        metavar="PATH[:PATH...]",
        help="The uWSGI binary to run vassals with. Of several, the first that has the plugins of a"
        " vassal's config.",
        show_default="the first found that has them",
    )


def hooks() -> list[Decorator]:
    """Hooks, and what runs in place of uWSGI where that is there or is not."""
    many: dict[str, Any] = {"multiple": True, "type": _Commands(), "metavar": "CMD"}
    lines = {**many, "type": _Lines()}
    paths: dict[str, Any] = {"multiple": True, "metavar": "PATH"}
    return [
        option(
            "--start-hook",
            "--vassals-start-hook",
            **many,
            help="Run this command with a vassal's name before each start, as its user. If it"
            " fails, the vassal starts all the same. Repeatable.",
        ),
        option(
            "--stop-hook",
            "--vassals-stop-hook",
            **many,
            help="Run this command with a vassal's name after each end of its process, as the"
            " daemon's user. Repeatable.",
        ),
        option(
            "--exec-as-vassal",
            **lines,
            help="Have a shell run this before each start, as the vassal's user. If it fails, the"
            " vassal does not start. Repeatable.",
        ),
        option(
            "--exec-as-emperor",
            **lines,
            help="Have a shell run this after each start, as the daemon's user; UWSGI_VASSAL_CONFIG"
            " and UWSGI_VASSAL_PID tell of which. Repeatable.",
        ),
        option(
            "--wrapper-override",
            **paths,
            help="Run this program in place of uWSGI or --wrapper, if it is there when the daemon"
            " starts. Repeatable; the first one counts.",
        ),
        option(
            "--wrapper-fallback",
            **paths,
            help="Run this program where neither uWSGI nor --wrapper is there when the daemon"
            " starts. Repeatable; the first one counts.",
        ),
    ]


def confinement() -> list[Decorator]:
    """The options that confine each vassal's process."""
    return [
        option(
            "--namespaces",
            "--use-clone",
            type=_namespaces,
            metavar="NAME[,NAME...]",
            help="Give each vassal namespaces of its own: fs, ipc, net, uts. Its hooks run in them."
            " Root only.",
        ),
        option(
            "--capability-bounding-set",
            "--vassals-cap",
            "--vassal-cap",
            "--emperor-cap",
            type=_capabilities,
            metavar="NAME[,NAME...]",
            help="Leave only these capabilities to vassals that run as root, as"
            " net_bind_service,setuid. Root only.",
        ),
    ]


def _namespaces(text: str) -> tuple[str, ...]:
    names = [each.strip() for each in text.split(",")]
    for name in names:
        if name in ("pid", "user"):
            raise click.BadParameter(
                f"{name!r}: the daemon knows a vassal by its pid and its user; make this namespace"
                " in a --wrapper, by unshare(1)"
            )
        if name not in NAMESPACES:
            raise click.BadParameter(f"{name!r} is none of fs, ipc, net, uts")
    return tuple(dict.fromkeys(NAMESPACES[name] for name in names))


def _capabilities(text: str) -> tuple[str, ...]:
    names = [each.strip().lower().removeprefix("cap_") for each in text.split(",")]
    for name in names:
        if name not in CAPABILITIES:
            raise click.BadParameter(f"{name!r} is no capability; see capabilities(7)")
    return tuple(dict.fromkeys(names))


def chosen_hooks(chosen: Mapping[str, Any]) -> Hooks:
    """The hooks among the options, and the confinement of vassals."""
    return Hooks(
        chosen["start_hook"],
        chosen["stop_hook"],
        chosen["exec_as_vassal"],
        chosen["exec_as_emperor"],
        Confinement(chosen["namespaces"] or (), chosen["capability_bounding_set"]),
    )


def choose_wrapper(chosen: dict[str, Any]) -> None:
    """Have ``--wrapper`` be the first program that is there: override, it or uWSGI, fallback."""
    override = next(filter(_is_there, chosen["wrapper_override"]), None)
    if override is not None:
        chosen["wrapper"] = override
    elif not _usual_is_there(chosen):
        fallback = next(filter(_is_there, chosen["wrapper_fallback"]), None)
        chosen["wrapper"] = fallback or chosen["wrapper"]


def _usual_is_there(chosen: Mapping[str, Any]) -> bool:
    if not chosen["wrapper_fallback"]:
        return True
    if chosen["wrapper"] is not None:
        return _is_there(chosen["wrapper"])
    try:
        command.find_uwsgi(Policy(uwsgi=chosen["uwsgi"]))
    except command.CannotRun:
        return False
    return True


def _is_there(program: str) -> bool:
    path = os.path.abspath(program) if "/" in program else shutil.which(program)
    return path is not None and os.path.isfile(path) and os.access(path, os.X_OK)
