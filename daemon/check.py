"""``emperor --check``: what would be run, without running it.

Every source is reached, all at the same time, because each that is away takes until its time limit.
"""

import os
import shlex
from collections.abc import Sequence

import trio

from ..journal.locked_files import NO_JOURNAL
from ..journal.policy import Policy
from ..monitors import contract, preflight, working_directory
from ..monitors.names import shown
from ..monitors.polling import SourceFailed
from ..monitors.regular_file import Denied, NotRegular, located, reopened
from ..monitors.tenant import Tenant
from .core import replacement, target
from .core.starts import bar_reason
from .host import command, option_files, spawn, uwsgi_plugins
from .host.listen_address import binds_itself
from .host.users import NoAccount, user_of
from .loop.start_warnings import NO_FILE, lacks

_PATIENCE = 30.0  # seconds for a source to say its first word


async def check(
    monitors: Sequence[contract.Monitor],
    policy: Policy,
    left_out: Sequence[str] = (),
    as_root: str | None = None,
    no_start: str | None = None,
    no_cgroups: str | None = None,
    shared: str | None = None,
    services: Sequence[str] = (),
) -> int:
    """Print what each source has; 0 if all of it could run, 1 if not.

    The other arguments are findings about the options, each a text or None:

    - ``left_out``: files that were given as monitors and are none
    - ``as_root``: vassals would run as root
    - ``no_start``: the daemon could not start
    - ``no_cgroups``: vassals would have no cgroups
    - ``shared``: logs are on the journal's file system
    - ``services``: a pid file or an address for statistics cannot be had
    """
    flaws = len(left_out)
    if no_start is not None:
        _say(f"cannot start: {no_start}")
        flaws += 1
    for line in (as_root, shared):
        if line is not None:
            _say(f"warning: {line}")
    if no_cgroups is not None:
        _say(f"vassals would run without cgroups: {no_cgroups}")
        flaws += 1
    for line in services:
        _say(line)
        flaws += 1
    for line in left_out:
        _say(f"left out: {line}")
    if judged := _options(policy):
        _say(f"judged with {judged}:")
    owners: dict[str, str] = {}
    found = await _ask_all(monitors)
    for monitor, answer in zip(monitors, found, strict=True):
        _say(monitor.url)
        match answer:
            case contract.Failed(reason):
                verb = "reached" if isinstance(monitor, contract.Announcer) else "read"
                _say(f"  cannot be {verb}: {reason}")
                flaws += 1
            case contract.Listing():
                flaws += _list(answer, monitor.url, owners, policy)
            case _:
                _say("  reached; it announces its vassals, so there is nothing to read beforehand")
    return 1 if flaws else 0


def _options(policy: Policy) -> str:
    """The options that decide as whom vassals run and which files count."""
    told = [
        f"--{name.replace('_', '-')}"
        for name in ("tyrant", "tyrant_nofollow", "tyrant_initgroups", "nofollow")
        if getattr(policy, name)
    ]
    if policy.user is not None:
        told.append("--user {}:{}".format(*policy.user))
    return " ".join(told)


def _list(listing: contract.Listing, url: str, owners: dict[str, str], policy: Policy) -> int:
    """Print what one source lists; the number of flaws. ``owners``: who has which name."""
    flaws = 0
    for name, seen in sorted(listing.seen.items()):
        flaw, line = _would_run(name, seen, policy, url)
        if name in owners:
            owner = owners[name]
            flaw = True
            line = f"rejected: the name belongs to {owner}, which is given before this source"
        owners.setdefault(name, url)
        flaws += flaw
        _say(f"  {name}: {line}")
    for label, reason in sorted(listing.refused.items()):
        _say(f"  {label}: rejected: {reason}")
        flaws += 1
    if not listing.seen and not listing.refused:
        reason = lacks(url)
        # A pattern may match nothing yet. The name of one file that is not there is a typing error.
        missing = reason == NO_FILE
        _say(f"  {'cannot be read' if missing else 'warning'}: {reason}")
        flaws += missing
    return flaws


def _say(line: str) -> None:
    print(shown(line))  # tenants choose names, paths and reasons


def _would_run(name: str, seen: contract.Seen, policy: Policy, source: str) -> tuple[bool, str]:
    spec = seen.spec
    reason = bar_reason(spec, policy, source)
    if reason is None and "command" not in spec.settings:
        reason = option_files.flaw(policy, spec)
    if reason is not None:
        return True, f"barred: {reason}"
    try:
        asked = uwsgi_plugins.asked_by(spec, seen.content, policy)
        words = command.argv(name, spec, policy, uwsgi=uwsgi_plugins.choose(spec, asked, policy))
        user = user_of(spec, policy)
        # Only root can look with the rights of another user.
        tenant = None if user is None or os.geteuid() != 0 else user.rights
        command.check(words[0], spec.cwd, spec.settings, tenant)
        if policy.user is not None and "command" not in spec.settings and spec.path is not None:
            _check_config(name, spec.cwd or "", tenant)
    except (command.CannotRun, NoAccount, _Unreadable) as error:
        return True, f"barred: {error}"
    except OSError as error:
        return True, f"barred: {spawn.error_text(error)[0]}"
    missing = uwsgi_plugins.lacks(spec, seen.content, policy)
    if any(each.needed for each in missing):
        return True, f"would end at once: {'; '.join(each.text for each in missing)}"
    line = shlex.join(words) + "".join(f"  (warning: {each.text})" for each in missing)
    if spec.socket is not None:
        theft = seen.content is not None and binds_itself(seen.content, spec.socket)
        warning = ", which its config must not bind itself: remove that line" if theft else ""
        line += f"  (on demand at {spec.socket}{warning})"
    if target.runs_file(spec) and seen.content is not None:
        unkept = target.unkept(spec, preflight.bound_by(seen.content), policy, source)
        line += f"  (warning: {unkept})" if unkept else ""
    if spec.settings.get("reload") == "replace" and (why := replacement.obstacle_of(spec)):
        line += f"  (warning: a change restarts it: {why})"
    cwd = spec.settings.get("directory", spec.cwd)
    return False, line + (f"  (in {cwd})" if cwd and cwd != working_directory.current() else "")


class _Unreadable(Exception):
    """The user of ``--user`` may not read a config that the daemon can read."""


def _check_config(name: str, cwd: str, tenant: Tenant | None) -> None:
    """Open the config as uWSGI will: by its name, in ``cwd``, with the vassal's rights."""
    at = os.open(cwd or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # This process has no journal open.
        with located(name, tenant, locked=NO_JOURNAL, at=at) as place:
            os.close(reopened(place))
    except (Denied, NotRegular, OSError):
        if tenant is None:
            raise
        raise _Unreadable(
            f"uid {tenant.uid} with gid {tenant.gid} may not read this config, and uWSGI reads it"
            " as that user (--user): chgrp and chmod it"
        ) from None
    finally:
        os.close(at)


async def _ask_all(monitors: Sequence[contract.Monitor]) -> list[contract.Observation]:
    """Each source's answer: Failed, a Listing, or Recovered from one that announces."""
    answers: dict[int, contract.Observation] = {}

    async def ask(number: int, monitor: contract.Monitor) -> None:
        if isinstance(monitor, contract.Announcer):
            answers[number] = await _reach(monitor)
        else:
            answers[number] = await _first_word(monitor)

    async with trio.open_nursery() as nursery:
        for number, monitor in enumerate(monitors):
            nursery.start_soon(ask, number, monitor)
    return [answers[number] for number in range(len(monitors))]


async def _reach(monitor: contract.Announcer) -> contract.Observation:
    try:
        await monitor.reach()
    except SourceFailed as failure:
        return contract.Failed(str(failure))
    return contract.Recovered()


async def _first_word(monitor: contract.Monitor) -> contract.Observation:
    """The first listing or failure."""
    heard: list[contract.Observation] = []
    with trio.move_on_after(_PATIENCE) as scope:

        async def tell(*observations: contract.Observation) -> None:
            heard.extend(
                each
                for each in observations
                if isinstance(each, contract.Listing | contract.Failed)
            )
            if heard:
                scope.cancel()
            await trio.lowlevel.checkpoint()

        await monitor.run(tell, {})
    return heard[0] if heard else contract.Failed(f"no answer within {_PATIENCE:g} s")
