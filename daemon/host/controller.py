"""Orders to processes: reload, stop, kill.

A process that speaks the emperor protocol gets an order as a byte. Other programs get a signal. So
does a *deaf* vassal: without a master, uWSGI does not read its control socket (``orders.py``).

The fold decides on orders and time limits. When a stop takes too long, the fold orders a kill.
"""

import contextlib
import logging
import math
import os
import signal
import time
from functools import partial
from typing import Final

import trio

from ...journal.events import OfAttempt, ReloadFailed, Spec
from ..core.actions import Action
from ..core.draft import Draft
from . import altered, emperor_protocol, procfs, threads, unjournaled
from .context import HostContext
from .later_looks import LaterLooks
from .orders import unread
from .process import Process
from .readiness import Readiness
from .reap import kill_group

log = logging.getLogger("emperor.host")

# Seconds from a vassal's byte 5 (it accepts) until a reload is sent. The first of uWSGI's workers
# sends that byte. One that still starts ignores the signal of a reload, and holds the reload up for
# a minute (worker-reload-mercy). It ignores the signal to stop, too.
SETTLING: Final = 1.0
_SUSPECTED: Final = 5.0  # seconds for one that read no orders with another config
_UNSURE: Final = 4  # times the patience, where it may be loading for a daemon that has died
_MARGIN: Final = 0.5  # seconds from the last look at an order to the end of patience
_UNREAD: Final = 5.0  # seconds after which an order to stop that was not read becomes a signal


class Controller:
    """Gives orders to processes."""

    def __init__(self, context: HostContext) -> None:
        self._policy = context.policy
        self._readiness = Readiness(context)
        self._processes = context.processes
        self._tasks = context.tasks
        self._outbox = context.outbox
        self._keeper = context.keeper
        self._cgroups = context.cgroups
        self._config_text = context.config_text
        self._later_looks = LaterLooks(context.tasks)

    def begin(self) -> None:
        """Go on watching the starts and reloads that a former daemon ordered."""
        for process in self._processes:
            self._readiness.watch(process)
            if process.speaks and process.orders.unsure:
                self._watch_reload(process)

    def order(self, action: Action, running_spec: Spec | None) -> None:
        """Give an order. Returns at once."""
        process = self._processes.get(action.vassal, action.attempt)
        if process is None or action.attempt is None:
            return  # it has ended meanwhile
        if action.do == "reload":
            assert running_spec is not None
            if self._lacks_text(process, running_spec):
                return
            process.use_spec(running_spec)
            self._processes.note_change(process)
            process.reload_pending = True
            if process.control is not None and process.speaks and not _has_settled(process):
                self._tasks.start("reload", process, self._reload_settled)
            else:
                self._reload(process)
        elif action.do == "stop":
            # New clients wait at a kept socket, so those that were accepted can be answered.
            kept = "listen" in process.spec.settings
            self._stop(process, graceful=kept or self._policy().graceful_shutdown)
        elif action.do == "retire":
            self._stop(process, graceful=True)
        elif action.do == "kill":
            process.end_ordered = True
            kill_group(process.pid)
            send_signal(process.pidfd, signal.SIGKILL)
            if process.cgroup is not None:
                self._tasks.start("kill", process, self._kill_cgroup)

    # Reload

    def _lacks_text(self, process: Process, spec: Spec) -> bool:
        """Report a reload that is not sent, because uWSGI would end for lack of its config."""
        if spec.path is not None or not process.speaks or spec.config is None:
            return False
        if self._config_text(spec.config) is not None:
            return False
        body = ReloadFailed(attempt=process.attempt, reason=altered.NOT_THERE)
        self._outbox.report(Draft("reload_failed", body, None, process.name))
        return True

    async def _reload_settled(self, process: Process) -> None:
        """Reload it when its workers have started."""
        for _ in range(2):  # byte 5 may come meanwhile, but not put the reload off for ever
            await trio.sleep_until(process.accepted_at + SETTLING)
        self._reload(process)

    def _reload(self, process: Process) -> None:
        process.reload_pending = False
        if not self._processes.holds(process) or process.end_ordered:
            return
        process.received = [byte for byte in process.received if byte == emperor_protocol.LOYAL]
        told = {**unjournaled.about(process.mark, process.spec), "said": process.received}
        if process.control is None:
            told["stop"] = process.stop_signal
        process.tell_keeper(self._keeper, **told)
        process.reloads += 1
        if self._send(process, emperor_protocol.RELOAD):
            process.is_up = False
            process.accepted_at = -math.inf  # the program that it loads now has not accepted yet
            self._watch_reload(process)
        else:
            process.reload_signalled_at = trio.current_time()
            if process.notify is not None:
                process.notify.reloaded_at = time.monotonic_ns() // 1000
            signal_program(process, process.reload_signal)
            self._readiness.watch_reload(process)

    def _watch_reload(self, process: Process) -> None:
        """Report a process as deaf if it has not read the order shortly before its time is over.

        Returns at once.
        """
        patience = self._policy().start_patience
        if process.orders.unsure:
            patience *= _UNSURE
        elif process.suspected:
            patience = min(patience, _SUSPECTED)
        seconds = max(patience - 2 * SETTLING - _MARGIN, patience / 2)
        self._later_looks.plan(seconds, process, "reload", self._look_at_reload)

    def _look_at_reload(self, process: Process) -> None:
        if not self._processes.holds(process) or process.end_ordered:
            return
        if process.control is not None and process.orders.ignored(process.control):
            process.deaf = True
            body = OfAttempt(attempt=process.attempt)
            self._outbox.report(Draft("vassal_deaf", body, None, process.name))

    # Stop and kill

    def _stop(self, process: Process, *, graceful: bool) -> None:
        process.end_ordered = True
        byte = emperor_protocol.STOP_GRACEFULLY if graceful else emperor_protocol.STOP
        by_signal = process.deaf or (process.suspected and not graceful)
        if by_signal or not self._send(process, byte):
            signal_program(process, process.stop_signal)
        else:
            self._later_looks.plan(_UNREAD, process, "stop", self._look_at_stop)
        settled = process.accepted_at > -math.inf and _has_settled(process)
        if process.speaks and not settled:
            self._tasks.start("stop", process, partial(self._stop_workers, graceful=graceful))

    async def _stop_workers(self, process: Process, graceful: bool) -> None:
        """Signal workers until all have ended: the master does it once, and a new one misses it."""
        while True:
            await trio.sleep(SETTLING)
            if not self._processes.holds(process):
                return
            with contextlib.suppress(OSError):  # out of descriptors, or they have just ended
                for pid in procfs.children(process.pid):
                    os.kill(pid, signal.SIGHUP if graceful else signal.SIGINT)

    def _look_at_stop(self, process: Process) -> None:
        """Send a signal as well if the order to stop stays unread."""
        if not self._processes.holds(process) or process.control is None:
            return
        if unread(process.control):
            log.info("%s: it has not read the order to stop; using a signal", process.name)
            signal_program(process, process.stop_signal)

    async def _kill_cgroup(self, process: Process) -> None:
        assert process.cgroup is not None
        await threads.run_sync(self._cgroups.kill, process.cgroup)

    def _send(self, process: Process, byte: bytes) -> bool:
        """Send an order; False if there is no socket for it, so that a signal has to do."""
        if process.control is None or not process.speaks:
            return False
        try:
            if byte == emperor_protocol.RELOAD:
                process.orders.send(process.control, byte)
            else:
                process.control.send(byte)
        except OSError as error:
            log.info("%s: control socket: %s; using a signal", process.name, error)
            return False
        return True


def _has_settled(process: Process) -> bool:
    """Whether it has accepted for a while, or not at all yet."""
    return process.accepted_at < trio.current_time() - SETTLING


def signal_program(process: Process, number: int) -> None:
    """Send a signal to the main process that a program has named, else to its leader."""
    main = None if process.notify is None else process.notify.main
    if main is None or not main.signal(number):
        send_signal(process.pidfd, number)


def send_signal(pidfd: int, number: int) -> None:
    """Send a signal to a process; its end is being reported where it is gone."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)
