"""Tyrant mode and ``--user``: whether others could write files that options name for all vassals.

A program or a template that an option names runs, or is read, as each user. So the way to it must
be root's alone, as that to a config must be root's and its user's (``monitors/path_owners.py``).
With ``--user`` that one user may write there, too, but for the program that root itself runs.
"""

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from typing import Final

from ...journal.events import Spec
from ...journal.policy import Policy
from ...monitors import working_directory
from ...monitors.names import shown
from ...monitors.ownership import told
from ...monitors.path_owners import PathWalker, Step
from ...monitors.private_groups import NotKnown
from .command import given_uwsgis

_NOBODY: Final = -1


def flaw(policy: Policy, spec: Spec | None = None, defaults: Sequence[str] = ()) -> str | None:
    """Why such a file is not to be used, None if all may be. Blocks.

    Root reads the files of ``defaults`` (``--vassal-defaults``) when the daemon starts.
    ``spec`` is of the vassal that starts: uWSGI finds templates from its directory. None: none
    starts yet, so a relative path counts only if it leads somewhere from here.
    """
    if not policy.tyrant and policy.user is None:
        return None
    of_root = [("--vassal-defaults", os.path.abspath(path), _NOBODY) for path in defaults]
    for option, path, trusted in (*of_root, *_programs(policy), *_templates(policy, spec)):
        if (reason := _reason(path, trusted)) is not None:
            return f"{option} {shown(path)} is used for every vassal, but {reason}"
    return None


def named(policy: Policy) -> bool:
    """Whether any option names one."""
    programs = (policy.uwsgi, policy.wrapper, policy.on_demand_exec)
    return any(programs) or any(values for _, values in _included(policy))


def _trusted(policy: Policy) -> int:
    """The user who may write there besides root."""
    return _NOBODY if policy.user is None else policy.user[0]


def _programs(policy: Policy) -> Iterator[tuple[str, str, int]]:
    """The options with programs, where these are, and the user who may write there."""
    words = shlex.split(policy.on_demand_exec or "")
    uwsgis = [] if policy.uwsgi is None else given_uwsgis(policy.uwsgi)
    for option, program, trusted in (
        *(("--uwsgi", path, _trusted(policy)) for path in uwsgis),
        ("--wrapper", policy.wrapper, _trusted(policy)),
        # With --user root runs it.
        ("--on-demand-exec", words[0] if words else None, _NOBODY),
    ):
        if program is not None:
            named = "/" in program or option == "--uwsgi"
            path = os.path.abspath(program) if named else shutil.which(program)
            if path is not None:
                yield option, path, trusted


def _included(policy: Policy) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("--vassals-inherit-before", policy.vassals_inherit_before),
        ("--vassals-include-before", policy.vassals_include_before),
        ("--vassals-inherit", policy.vassals_inherit),
        ("--vassals-include", policy.vassals_include),
    )


def _templates(policy: Policy, spec: Spec | None) -> Iterator[tuple[str, str, int]]:
    """As ``_programs``, for the files that uWSGI reads.

    With a relative path each vassal may have its own, which its own user may write.
    """
    own = _NOBODY if spec is None or spec.uid is None else spec.uid
    cwd = "" if spec is None else spec.cwd or ""
    for option, values in _included(policy):
        for value in values:
            # uWSGI takes what follows the last colon for a section.
            file = value.rpartition(":")[0] if ":" in value else value
            path = os.path.join(working_directory.current(), cwd, file)
            absolute = os.path.isabs(file)
            known = absolute or spec is not None or os.path.lexists(path)
            if file and "://" not in value and known:
                relative = own if policy.tyrant else _trusted(policy)
                yield option, path, _trusted(policy) if absolute else relative


def reason(program: str) -> str | None:
    """Why a program is not to be run for tenants: others than root may write to it, or move it."""
    path = os.path.abspath(program) if "/" in program else shutil.which(program)
    return None if path is None else _reason(path, _NOBODY)


def _reason(path: str, trusted: int) -> str | None:
    """Users besides root and one user that can lead the path elsewhere, or write to the file."""
    passed: list[Step] = []
    try:
        passed.extend(PathWalker().steps(path))
    except FileNotFoundError:
        reason = _open_at(passed, trusted) or _could_be_made(passed, trusted)
    except NotKnown as error:
        return str(error)
    except OSError as error:
        return f"it cannot be looked at: {os.strerror(error.errno or 0)}"
    else:
        reason = _open_at(passed, trusted)
    return reason


def _open_at(passed: list[Step], trusted: int) -> str | None:
    """The reason why the first component that does not fit is refused; None if all fit."""
    sticky: set[str] = set()
    for step in passed:
        name = shown(step.path)
        if step.uid not in (0, trusted):
            return f"{name} belongs to uid {step.uid}; chown it to root"
        others = step.open_to_others(trusted)
        if others and not step.is_sticky_directory:
            verb = "move things in" if step.is_directory else "write to"
            return told(others[0], f"{verb} {name}")
        if others:
            sticky.add(step.path)
        directory = os.path.dirname(step.path)
        if directory in sticky and not step.is_directory and (step.uid != trusted or step.shared):
            return (
                f"{name} is in a sticky directory: others can move such a file there; put it"
                f" elsewhere, or chmod go-w {shown(directory)}"
            )
    return None


def _could_be_made(passed: list[Step], trusted: int) -> str | None:
    """Users that could make the file that is not there."""
    last = passed[-1] if passed else None
    if last is None or not last.is_sticky_directory or not last.open_to_others(trusted):
        return None
    return f"it is not there, and others can make it in {shown(last.path)}; make it elsewhere"
