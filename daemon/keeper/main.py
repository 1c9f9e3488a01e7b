"""The keeper: what ``emperor`` starts as, so that nothing dies with the daemon.

It runs the daemon proper as its child and does little, so that little can end it: no trio, no
SQLite, no decisions about vassals.

- It holds a duplicate of every descriptor that the daemon entrusts to it (the daemon's ends of
  vassals' sockets, listening sockets). When the daemon dies these stay open, so no vassal notices
  that its emperor is gone. The next daemon gets them all (``protocol.py``).
- It keeps sockets that a service manager has passed to it (``passed.py``).
- It is the subreaper of all below it. Vassals whose daemon died become its children: it reaps
  them and tells the daemon how they ended, until that is acknowledged. It reaps their orphans
  too, and tells nothing of them. It knows vassals by the sessions that they lead.
- It starts the daemon again when it dies: at once, then with growing delay up to 30 s. Meanwhile
  it tells clients of the control socket that no daemon runs (``no_daemon.py``).
- It hands on signals, and ends with the exit code of a daemon that left as it was told to. Where
  no daemon starts to stop all, it tries for 20 s and then ends the vassals itself
  (``stop_all.py``).
  A daemon whose start hangs is killed (``hung_start.py``).
- A daemon that ends with RENEW wants a fresh one. The keeper executes itself anew, as the version
  that is installed now, and keeps its children and descriptors. Signals are blocked meanwhile, so
  none is lost or kills it; a version that does not even start is not tried.
- Where the daemon asks for it, it goes on in the background (``background.py``).
- A daemon that systemd takes for hung is killed, not the keeper (SIGABRT, see WatchdogSec).

The daemon leads its own session: a Ctrl-C in a terminal reaches the keeper only, and arrives once.
Nor does the kernel HUP it, which reloads all, when the keeper is killed while it is stopped.
"""

import functools
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from . import background, passed, protocol, renewal, stdio, stop_all
from .arguments import TRY_START, command, concealed, hidden
from .channel import Channel
from .dead_child import Leaders
from .handed_on import HandedOn
from .hung_daemon import HeldBack
from .hung_start import HungStart
from .no_daemon import NoDaemon
from .renewal import STATE
from .restarts import Restarts
from .signal_pipe import SignalPipe

CANNOT_START, BAD_USAGE = 3, 2
_CONGESTED = 0.1  # seconds until the kernel is asked again to take a packet
_FORWARDED = (
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP,
    signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG,
)  # fmt: skip
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_HANDLED = {*_FORWARDED, signal.SIGCHLD, signal.SIGABRT}
# With one of these the command prints something and ends, so no daemon needs a keeper.
_PASSING = ("-h", "--help", "--version", "--check", "--migrate", TRY_START)
COMPLETION = "_EMPEROR_COMPLETE"  # in the environment where a shell asks what may stand there
_daemon_argv = functools.partial(command, "main")
log = functools.partial(stdio.log, "emperor.keeper")


def main() -> NoReturn:
    """The command ``emperor``."""
    stdio.hold()
    stdio.remember()
    arguments = hidden()
    if COMPLETION in os.environ or any(argument in _PASSING for argument in arguments):
        shown, secret = concealed(arguments)
        os.execve(sys.executable, _daemon_argv(shown), {**os.environ, **secret})
    memory = protocol.Memory(os.close)
    if STATE in os.environ:
        passed.forget()  # the keeper before has them
    else:
        passed.take_in(memory)
    code = _made(arguments, memory).run()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)  # the last one would have the say
    os._exit(code)  # at once: Python takes 5 ms to clear its modules, and nothing is left to write


def _made(arguments: list[str], memory: protocol.Memory) -> "Keeper":
    """A keeper. One that was executed anew has vassals, so it does not end for lack of memory."""
    while True:
        try:
            return Keeper(arguments, memory)
        except OSError as error:
            if STATE not in os.environ:
                log(f"cannot start: {error.strerror}", stdio.ERROR)
                sys.exit(CANNOT_START)
        time.sleep(_CONGESTED)


class Keeper:
    """One keeper and the daemon it runs."""

    def __init__(self, arguments: list[str], memory: protocol.Memory) -> None:
        self._arguments, self._secret = concealed(arguments)
        self._memory = memory  # it may have sockets already
        self._daemon = 0  # pid, 0 while there is none
        self._channel = Channel(self._memory, self._heed)
        self._blind = False  # a dead child could not be looked at
        self._leaders = Leaders()
        self._held_back = HeldBack()
        self._hung_start = HungStart()
        self._sync = False  # the daemon wants to be told when all deaths were
        self._restarts = Restarts()
        self._no_daemon = NoDaemon(self._memory, self._restarts)
        self._hears = False  # the daemon takes signals; before that one would kill it
        self._passing = False  # the daemon prints and ends, and the keeper with its code
        self._for_daemon = HandedOn(_FORWARDED)
        self._background = background.Background()
        self._signal_pipe = SignalPipe()
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def run(self) -> int:
        """Keep until the daemon has left for good; its exit code."""
        self._prepare()
        while True:
            code = self._reap()
            if code is not None:
                return code
            if self._held_back.is_so(self._daemon):
                log("the kernel holds a thread of the daemon; leaves without it", stdio.ERROR)
                return CANNOT_START
            if self._is_awaited:
                self._hung_start.look(self._daemon, self._restarts.stopping is not None)
            if not self._daemon and not self._restarts.left and not self._start():
                return CANNOT_START
            for number in self._wait():
                self._signalled(number)

    def _prepare(self) -> None:
        background.become_subreaper()
        for number in _HANDLED:
            signal.signal(number, lambda *_: None)
        state = os.environ.pop(STATE, None)
        if state is not None:
            self._remember(int(state))
        self._limit(self._limits[1])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)

    def _limit(self, soft: int) -> None:
        """Limit our open files. Ours may be all that may be; the daemon gets what we got."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self._limits[1]))

    # The daemon

    def _start(self) -> bool:
        """Start the daemon; False if there is nothing to start it again for."""
        self._restarts.begin()
        self._hung_start.begin()
        try:
            self._spawn()
        except OSError as error:
            self._restarts.put_off()
            leave = self._may_leave(CANNOT_START, worked=False, killed=False)
            again = "" if leave else f"; tried again in {self._restarts.left:.0f} s"
            log(f"cannot start the daemon: {sys.executable}: {error.strerror}{again}", stdio.ERROR)
            if leave:
                self._end_vassals()
            return not leave
        return True

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.set_inheritable(True)
        own = {**self._background.variables(), protocol.CHANNEL: str(theirs.fileno())}
        environment = {**os.environ, **self._secret, **own}
        # systemd names the process that it watches. The daemon will answer the watchdog.
        environment.pop("WATCHDOG_PID", None)
        argv = _daemon_argv(self._arguments)
        self._limit(self._limits[0])
        try:
            self._daemon = os.posix_spawn(argv[0], argv, environment, setsid=True)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            self._limit(self._limits[1])
        self._channel.open(ours)

    def _ended(self, code: int | None, number: int | None) -> int | None:
        """The daemon has ended; the exit code to end with, None to go on."""
        at = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        pid, self._daemon = self._daemon, 0
        self._channel.close()
        if self._background.goes(code):
            return None
        worked, self._hears = self._hears, False
        self._memory.daemon_ended({"pid": pid, "code": code, "signal": number, "at": at}, worked)
        how = f"with code {code}" if number is None else f"by signal {number}"
        if number == signal.SIGKILL and self._hung_start.killed:
            code, number = CANNOT_START, None
        self._sync = False
        self._for_daemon.daemon_ended(self._restarts.stopping)
        if code == protocol.RENEW:
            self._renew()
        killed = number == signal.SIGKILL
        if code == 0 or self._may_leave(code, worked, killed):
            # A daemon that worked and leaves with this code has said that its vassals run on.
            if code != 0 and not (worked and code == CANNOT_START) and self._end_vassals():
                return CANNOT_START
            return code if number is None else 128 + number
        self._restarts.put_off(killed=killed and worked)
        self._no_daemon.ended(how)
        again = f"it starts again in {self._restarts.left:.0f} s"
        log(f"the daemon ended {how}; vassals run on, {again}")
        return None

    @property
    def _is_awaited(self) -> bool:
        """Whether a daemon takes no signals yet that is to attend vassals, or to stop all."""
        starts = bool(self._daemon) and not self._hears
        return starts and (self._restarts.stopping is not None or self._memory.of_vassals())

    def _may_leave(self, code: int | None, worked: bool, killed: bool) -> bool:
        """Whether to end with a daemon that failed: to start, or too often to stop all."""
        cannot = not killed and (self._passing or code in (BAD_USAGE, CANNOT_START))
        vassals = self._memory.of_vassals()
        if self._restarts.stopping is None or code == protocol.RENEW:
            return cannot and not vassals
        if worked or killed or vassals or self._restarts.unfinished:
            # Nothing else would stop the vassals, or record that they ended. Almost all that keeps
            # a daemon from its start may pass: no memory, a mistake in a file of options.
            return (cannot and worked) or self._restarts.gives_up(worked, killed)
        return True

    def _end_vassals(self) -> bool:
        """End what no daemon can stop; whether the keeper was told to stop, and had any."""
        if self._restarts.stopping is None or not self._memory.of_vassals():
            return False
        self._limit(self._limits[1])
        stop_all.end_all(self._memory.kept, self._signal_pipe, _STOPS)
        return True

    # Signals and children

    def _wait(self) -> bytes:
        """Wait for something to happen; the numbers of signals that came."""
        poll = select.poll()  # select.select knows no descriptor above 1023
        poll.register(self._signal_pipe, select.POLLIN)
        self._channel.register(poll)
        self._no_daemon.register(poll)
        timeout = self._held_back.look_again() if self._daemon else self._restarts.left
        if self._is_awaited:
            timeout = self._hung_start.sooner(timeout)
        if self._channel.congested or self._blind:
            timeout, self._channel.congested, self._blind = _CONGESTED, False, False
        try:
            poll.poll(None if timeout is None else timeout * 1000)
        except OSError:  # no memory for now
            time.sleep(_CONGESTED)
        self._channel.receive()
        self._channel.flush()
        self._no_daemon.answer()
        return self._signal_pipe.read()

    def _signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            return
        if number == signal.SIGABRT:
            log("SIGABRT: the daemon hangs; killing it", stdio.ERROR)
            if self._daemon:
                os.kill(self._daemon, signal.SIGKILL)
            return
        if number == signal.SIGUSR1:
            stdio.reopen((lambda _: None) if self._daemon else log)  # the daemon says why it cannot
        if number == signal.SIGUSR2 and not self._daemon:
            self._restarts.at_once()  # an operator has mended what kept the daemon from its start
            return  # that one is of the installed version, and need not be replaced
        if number in _STOPS:
            self._held_back.tell()
            self._restarts.stop(number)
        self._for_daemon.waiting.append(number)
        self._hand_on()

    def _hand_on(self) -> None:
        if self._daemon and self._hears:
            self._for_daemon.send(self._daemon)

    def _reap(self) -> int | None:
        """Reap what has died; the exit code if the daemon has left for good."""
        end: int | None = None
        for pid, code, number in self._leaders.dead():
            try:
                start = None if pid == self._daemon else self._leaders.start_of(pid)
            except OSError:
                self._blind = True  # it is looked at again soon
                return end
            os.waitid(os.P_PID, pid, os.WEXITED)
            if pid == self._daemon:
                end = self._ended(code, number)
            elif start is not None:
                self._channel.say(self._memory.died(pid, start, code, number))
        if self._sync and not self._leaders.more:
            self._channel.say({"say": "synced"})
            self._sync = False
        return end

    def _heed(self, packet: dict[str, Any]) -> None:
        do = packet.get("do")
        self._sync = self._sync or do == "sync"
        if do in ("hear", "pass"):
            self._hears, self._passing = True, do == "pass"
            self._background.settle(packet)
            self._hand_on()
        if do == "hold":
            self._for_daemon.hold(protocol.signals_of(packet))
            self._channel.say({"say": "held"})

    # Executing itself anew

    def _renew(self) -> None:
        """Become the keeper that is installed now; does not return unless that fails."""
        self._restarts.at_once()
        inherited: list[int] = []
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            renewal.try_new_version()
            state = os.memfd_create("keeper")
            inherited = [state, *(fd for _, fds in self._memory.kept.values() for fd in fds)]
            for number in self._signal_pipe.read():
                self._signalled(number)
            told = {"stopping": self._restarts.stopping, "waiting": self._for_daemon.waiting}
            with open(state, "wb", closefd=False) as file:  # a write may be cut short
                file.write(renewal.written(self._memory, {**told, "nofile": self._limits[0]}))
            for descriptor in inherited:
                os.set_inheritable(descriptor, True)
            environment = {**os.environ, **self._secret, STATE: str(state)}
            os.execve(sys.executable, command("keeper", self._arguments), environment)
        except OSError as error:
            log(f"cannot execute the keeper anew: {error.strerror}; the old one goes on")
            renewal.take_back(inherited)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)

    def _remember(self, state: int) -> None:
        known = renewal.read(self._memory, state)
        if known["stopping"] is not None:
            self._restarts.stop(known["stopping"])
        self._for_daemon.waiting = known["waiting"]
        self._limits = (known["nofile"], self._limits[1])


if __name__ == "__main__":
    main()
