"""``emperor``: the command.

The order of a start matters. Options and URLs are checked first, while nothing is open. Then the
journal is opened, which may wait for another daemon, and its identity is locked (``startup/``).
From there on this is the only daemon of the journal, so it may look at processes.
``become_subreaper`` comes before the first process is started, so that no orphan is missed.

All parts are made here and given to the shell, which knows them as ports only (``loop/ports.py``).
The end is in the reverse order. The control socket is unlinked only if no successor has it: after
an upgrade or a handover it is the next daemon's.
"""

import gc

if __name__ == "__main__":
    # Modules stay, so a collection while they are imported takes a tenth of that time for nothing.
    gc.disable()

import contextlib
import logging
import os
import sys
from functools import partial
from typing import Any, NoReturn

import click
import msgspec
import trio

from ..journal.errors import JournalError, NewerFormat
from ..journal.locked_files import LockedFiles
from ..journal.places import copies_of_users, default_copies, default_logs
from ..journal.policy import Policy
from ..journal.reserve import Reserve, Reserved
from ..journal.store import Journal
from ..monitors import defaults, working_directory
from ..monitors.contract import Monitor
from ..monitors.named_files import is_one_file, summary
from ..monitors.start_thread import StartThread
from ..monitors.urls import MonitorURLError
from ..version import VERSION
from . import hook_options, option_conflicts, rollout_sizes, source_names
from .cli import commandline
from .control.archives import Archives
from .control.explain import Explainer
from .core.blame import original
from .core.fleet import Fleet, from_json
from .core.fold import fold
from .given_monitors import open_monitors
from .host import altered, cgroup_base, failures, hooks, option_files, procfs, shared_disk, users
from .host.cgroups import Cgroups
from .host.host import Host
from .host.spawn import raise_file_limit
from .host.vassal_log import LogDirectory, keep_former
from .keeper.arguments import given
from .keeper.link import KeeperLink
from .keeper.protocol import BACKGROUND, FOREGROUND, RENEW
from .keeper.refusals import refusal
from .loop import daemon_log, failed_loop, ports, pressure
from .loop.clock import Clock
from .loop.last_signals import LastSignals
from .loop.no_witness import NO_WITNESS
from .loop.observer import Observer
from .loop.questions import Questions, questions
from .loop.shell import Shell
from .loop.signals import Abandoned
from .loop.stored_deploys import followed
from .loop.systemd import Notifier
from .migrate_options import migrate
from .options import Command, options, policy
from .services import Services, flaws
from .startup import first_event, previous_end
from .startup.identity import Holder, short
from .startup.opening import Opened, Opening
from .witness import settings as witness_settings

log = logging.getLogger("emperor")


FAILED = 1  # while it ran
CANNOT_START = 3


@click.command(
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@options
@click.version_option(VERSION, prog_name="emperor")
def main(**chosen: Any) -> None:
    """Keep a fleet of vassals equal to what the MONITORs see.

    A MONITOR is a directory (dir://PATH), a pattern (glob://PATTERN, quote it) or a config file. A
    config that appears there starts a vassal; touch it and the vassal reloads; remove it and it
    stops.
    Or it is a database, a directory service or a queue where configs are kept or announced (pg://,
    mongodb://, zoo://, ldap[s]://, amqp[s]://, zmq://; see docs/sources.md). Everything seen and
    done is journaled; ask emperor-replay about it.

    Each option is also taken under uWSGI's name (--emperor-freq) and from the environment
    (EMPEROR_FREQ). Durations take units: 500ms, 3s, 2m, 1h, 7d; a plain number counts in S,
    seconds, or MS, milliseconds, and can be 1e3. Sizes take K, M, G and T, powers of 1024: 10M,
    1GiB; a plain number counts in bytes, and has digits only.
    """
    if chosen["migrate"]:
        migrate(chosen)
    hook_options.choose_wrapper(chosen)
    decided = policy(chosen)
    if os.environ.pop(FOREGROUND, None) and chosen["daemonize"] and not chosen["check"]:
        sys.exit(BACKGROUND)
    start = _Start()
    try:
        daemon_log.set_up_for(chosen)
        if chosen["from"] is not None:
            from . import from_uwsgi

            from_uwsgi.enter(chosen["from"])
        _run(chosen, decided, start)
    except (JournalError, MonitorURLError, defaults.BadDefaults, OSError) as error:
        daemon_log.complain(_in_words(error))
        # A keeper that is to stop all takes CANNOT_START of a daemon that worked for its last word.
        sys.exit(FAILED if start.is_over and isinstance(error, OSError) else CANNOT_START)


def _in_words(error: Exception) -> str:
    """The text of an error, with the file that it is about."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, FileNotFoundError) and working_directory.is_removed():
        return "the working directory was removed; give absolute paths, or start it elsewhere"
    return str(error)


class _Start:
    """The daemon's start. When it is over, an error of the machine ends a daemon that worked."""

    is_over = False


def _run(chosen: dict[str, Any], decided: Policy, start: _Start) -> None:
    option_conflicts.refuse(chosen)
    texts, decided = rollout_sizes.parted(chosen["monitor"], decided)
    for_all = chosen["vassal_defaults"]
    locked = LockedFiles.of(chosen["journal"])
    monitors, no_configs = open_monitors(texts, decided, for_all, locked)
    names = source_names.given(chosen["name"], [monitor.url for monitor in monitors])
    left_out = summary(no_configs, decided.extra_extension)
    as_root = users.root_warning(decided, meant=chosen["as_root"])
    no_start = users.lacks_root(decided) or option_files.flaw(decided, defaults=for_all)
    no_start = no_start or hooks.flaw(hook_options.chosen_hooks(chosen), decided)
    if chosen["check"]:
        _check(chosen, decided, monitors, left_out, as_root, no_start)
    _make_sure(chosen, decided, monitors, left_out, no_start)
    procfs.close_on_exec_all()
    nofile = raise_file_limit()
    control_path = os.path.abspath(chosen["control"] or chosen["journal"] + ".sock")
    with contextlib.closing(StartThread(own=True)) as starts, contextlib.ExitStack() as stack:
        keeper = stack.enter_context(contextlib.closing(KeeperLink.from_environment()))
        notifier = Notifier(main=keeper.pid)
        max_step = _nanoseconds(chosen["max_clock_step"])
        last_signals = stack.enter_context(LastSignals())
        opened, witness = _opened(chosen, control_path, keeper, notifier, max_step)
        journal, fleet, holder, listener = opened
        stack.enter_context(journal)
        stack.enter_context(contextlib.closing(listener))
        observer = Observer(altered.find(fleet, journal))
        logs = _logs(chosen, decided, journal, fleet)
        for warning in (_shares_disk(chosen, decided), as_root):
            if warning is not None:
                log.warning("%s", warning)
        clock = _clock(journal, fleet, max_step)
        former = previous_end.of(journal, fleet, keeper, clock.now())
        started = first_event.body(decided, monitors, names, clock, former)
        services = Services(chosen, keeper)
        procfs.become_subreaper()
        attempts = _cgroups(chosen["cgroup"])
        attempts.move_in(os.getppid() if keeper.alive else None)
        most = defaults.limits(defaults.read(for_all))
        host = _host(
            decided, logs, journal, (nofile, most), keeper, attempts, questions(fleet, clock),
            hook_options.chosen_hooks(chosen), starts, holder,
        )  # fmt: skip
        reserved = _reserved(chosen, journal)
        shell = Shell(
            reserved,
            fleet,
            clock,
            host,
            started,
            notifier,
            keeper,
            listener,
            last_signals.receive,
            Explainer(decided, journal.texts.content, os.environ, journal.announcements),
            observer,
            pressure.gauge(),
            followed(journal),
            witness,
            chosen["control_group"],
        )
        shell.view.archives = Archives(journal, chosen["keep"])
        reserved.urgent = lambda: shell.signals.leaving
        start.is_over = True
        _work(shell, monitors, services)
        if shell.handover.renewing:
            last_signals.hand_back(keeper, shell.signals.unrecorded)
        else:
            _tidy_up(host, attempts)
    _leave(shell, services, holder, control_path)


def _leave(shell: Shell, services: Services, holder: Holder, control_path: str) -> None:
    """The last steps of a daemon: what a next one or a successor has is left as it is."""
    if shell.handover.renewing and not shell.handover.succeeded:
        sys.exit(RENEW)
    services.end()
    if shell.handover.renewing:
        sys.exit(0)
    holder.forget()
    with contextlib.suppress(OSError):
        os.unlink(control_path)


def _opened(
    chosen: dict[str, Any],
    control_path: str,
    keeper: KeeperLink,
    notifier: Notifier,
    max_step: int | None,
) -> tuple[Opened, ports.Witness]:
    """The journal, and its witness. Raises JournalError, OSError."""
    place = witness_settings.place(chosen)
    writer = witness_settings.writer(chosen, place)
    opening = Opening(
        chosen["journal"],
        control_path,
        keeper,
        notifier,
        rebuild,
        fork=chosen["restore"],
        max_clock_step=max_step,
        reserve=chosen["journal_reserve"],
        witness=place,
        control_group=chosen["control_group"],
    )
    opened = opening.run()
    if writer is None:
        return opened, NO_WITNESS
    writer.follow(opened.journal, adopted=opening.adopted)
    return opened, writer


def _clock(journal: Journal, fleet: Fleet, max_step: int | None) -> Clock:
    """The journal's clock, which goes on after the last event."""
    booted = fleet.booted if fleet.boot == procfs.boot_id() else 0
    return Clock(max(journal.last_at, fleet.at), booted=booted, most=max_step)


def _tidy_up(host: Host, attempts: Cgroups) -> None:
    """The last things of a daemon that has stopped all, as recorded: they cannot fail it."""
    for job in (host.last_look, attempts.move_out):
        try:
            job()
        except OSError as error:
            log.warning("after the stop: %s", _in_words(error))


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1e9)


def _check(
    chosen: dict[str, Any],
    decided: Policy,
    monitors: list[Monitor],
    left_out: list[str],
    as_root: str | None,
    no_start: str | None,
) -> NoReturn:
    """Say what would be run, and exit."""
    from .check import check

    # The keeper knows of it only where it stands in the arguments.
    with contextlib.closing(KeeperLink.from_environment()) as keeper:
        keeper.passing()
        flaw = _without_cgroups(chosen["cgroup"])
        shared = _shares_disk(chosen, decided)
        more = [*flaws(chosen)]
        sys.exit(
            trio.run(check, monitors, decided, left_out, as_root, no_start, flaw, shared, more)
        )


def _make_sure(
    chosen: dict[str, Any],
    decided: Policy,
    monitors: list[Monitor],
    left_out: list[str],
    no_start: str | None,
) -> None:
    """Refuse a start that cannot go well. Raises MonitorURLError and OSError."""
    if not monitors:
        raise MonitorURLError("; ".join(left_out))
    for line in left_out:
        log.warning("left out: %s", line)
    files = sum(is_one_file(monitor.url) for monitor in monitors)
    if files > 1:
        log.info(
            "%d files are given by name; quote a pattern, and files that are made later run, too",
            files,
        )
    if no_start is not None:
        raise OSError(no_start)
    if _has_tenants(decided) and chosen["log"] == "inherit" and (os.isatty(1) or os.isatty(2)):
        option = "--tyrant" if decided.tyrant else "--user"
        raise OSError(
            f"{option} with --log inherit would give this terminal to every vassal, to read from"
            " as well: let it have log files, or send output elsewhere"
        )
    if chosen["try_start"]:
        sys.exit(0)


def _has_tenants(decided: Policy) -> bool:
    """Whether vassals run as other users than the daemon."""
    return decided.tyrant or decided.user is not None


def _logs(
    chosen: dict[str, Any], decided: Policy, journal: Journal, fleet: Fleet
) -> LogDirectory | None:
    """The vassals' logs; None if vassals inherit the daemon's output. Raises OSError."""
    if chosen["log"] != "files":
        return None
    directory = chosen["log_directory"] or _usual_logs(journal, fleet)
    locked = LockedFiles.of(journal.path)
    logs = LogDirectory(directory, chosen["log_size"], chosen["log_keep"], locked)
    if _has_tenants(decided):
        logs.give_away()
    return logs


def _host(
    decided: Policy,
    logs: LogDirectory | None,
    journal: Journal,
    limits: tuple[tuple[int, int] | None, dict[str, str]],
    keeper: KeeperLink,
    attempts: Cgroups,
    asks: Questions,
    wanted: hooks.Hooks,
    starts: StartThread,
    holder: Holder,
) -> Host:
    starts.locks = lambda: (*journal.locked, *holder.locked)
    return Host(
        lambda: decided,
        logs,
        journal.texts.content,
        nofile=limits[0],
        most=limits[1],
        keeper=keeper,
        identity=lambda: None if journal.head is None else short(journal.head.identity),
        attempts=attempts,
        copies=(default_copies(journal.path), copies_of_users(journal.path)),
        hooks=wanted,
        starts=starts,
        **asks,
    )


def _reserved(chosen: dict[str, Any], journal: Journal) -> Reserved:
    """The journal, with room that is kept for the daemon's own start and stop."""
    reserve = Reserve(journal.path, chosen["journal_reserve"])
    if (lacking := reserve.make()) is not None:
        log.warning("--journal-reserve: %s", lacking)
    return Reserved(journal, reserve)


def _work(shell: Shell, monitors: list[Monitor], services: Services) -> None:
    """Run the loop to its end. Exits if it cannot go on."""
    gc.freeze()  # no collection looks again at the fleet that the journal has
    refused: OSError | None = None
    try:
        attend = partial(_attend, shell, monitors, services)
        trio.run(failed_loop.guarded, attend, _leave_at_once)
    except* Abandoned as abandoned:
        daemon_log.complain(str(failures.alone(abandoned)))
        # At once, and so without closing the journal: its disk may hang.
        os._exit(CANNOT_START)
    except* (OSError, trio.TrioInternalError) as errors:
        refused = refusal(errors)
        if refused is None:
            raise
    if refused is not None:
        log.error("left, for the next daemon to go on: %s", failures.describe(refused))
        sys.exit(FAILED)


async def _attend(shell: Shell, monitors: list[Monitor], services: Services) -> None:
    services.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(services.run, shell.view)
        await shell.run(monitors)
        nursery.cancel_scope.cancel()


def _leave_at_once() -> NoReturn:
    daemon_log.complain("left, for the next daemon to go on: the event loop has failed")
    os._exit(FAILED)


def _shares_disk(chosen: dict[str, Any], decided: Policy) -> str | None:
    """The warning that users of vassals can fill the journal's disk; None if they cannot."""
    if not _has_tenants(decided) or chosen["log"] != "files":
        return None
    journal = os.path.realpath(chosen["journal"])
    return shared_disk.warning(journal, chosen["log_directory"] or default_logs(journal))


def _without_cgroups(given: str) -> str | None:
    """Why no cgroups can be made where ``--cgroup`` says; None if they can, or need not be."""
    try:
        cgroup_base.base(given)
    except cgroup_base.Unusable as flaw:
        return str(flaw)
    return None


def _cgroups(given: str) -> Cgroups:
    """Where attempts get cgroups. Where they cannot, vassals run without."""
    try:
        attempts = Cgroups(cgroup_base.base(given))
    except cgroup_base.Unusable as flaw:
        attempts = Cgroups()
        attempts.complain(f"--cgroup {given}: {flaw}")
    if attempts.base is not None:
        log.info("cgroups of vassals are made in %s", attempts.base)
    return attempts


def _usual_logs(journal: Journal, fleet: Fleet) -> str:
    """Where logs are when the operator does not say. Raises OSError."""
    path = default_logs(journal.path)
    if fleet.seq and fleet.rules == 1:
        former = keep_former(path, journal.path, fleet.vassals)
        if former is not None:
            log.info("%s leads to %s: version 0.1.0 has kept the logs there", path, former)
    return path


def rebuild(journal: Journal) -> Fleet:
    """The fleet as the journal has it: the newest snapshot, and the events after it.

    Raises JournalError.
    """
    fleet = _newest(journal)
    for event in journal.tail(fleet.seq):
        try:
            fold(fleet, event)
        except NewerFormat as newer:
            raise NewerFormat(f"{journal.path}: event {event.seq}: {newer}") from None
        except Exception as fault:  # the fold asserts what this version writes
            error = original(fault)
            what = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise JournalError(
                f"{journal.path}: event {event.seq} ({event.kind}) cannot be folded by this"
                f" version: {what}; go on with the version that wrote it, or start a new journal"
            ) from error
    return fleet


def _newest(journal: Journal) -> Fleet:
    """The fleet of the newest snapshot that this version can read."""
    before = None
    while (snapshot := journal.snapshot(before)) is not None:
        try:
            return from_json(snapshot.fleet)
        except msgspec.DecodeError:
            before = snapshot.seq
    return Fleet()


if __name__ == "__main__":
    gc.enable()
    commandline.run(main, "emperor", given())
