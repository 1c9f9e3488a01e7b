"""Where a vassal that is a file listens on demand: what --on-demand-extension, -directory and
-exec say.

With an extension, the address is in the file beside the config, whose name has the extension added.
That file counts as part of the config, so its signature belongs to the config's. With a directory,
the address is a socket file there that is named like the vassal. With a command, it is what that
prints, asked whenever the config is read; no shell is involved.

In tyrant mode the tenant's rights count for both the file and the command. So the tenant could
forge what either says, and neither may name a port that the tenant could not have. The tenant can
also stop the command, or have it print without end. So little of its output is read, and time that
a tenant's commands take fills a leaky bucket. While that is full, none is asked for this tenant.
Otherwise the files of all others would wait for it again and again.
"""

import contextlib
import errno
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import Final

from ...journal import quantities
from ...journal.events import Spec
from ...journal.leaky_bucket import Bucket
from .. import names, ownership
from ..children import Child
from ..options import MonitorOptions
from ..private_groups import NotKnown
from ..regular_file import Denied, NotRegular, opened
from ..tenant import Tenant, become, passed

LONGEST: Final = 255  # bytes of an address
LIMIT: Final = 5.0  # seconds for the command
_GRACE: Final = 1.0  # seconds more, to see that it was ended
_MOST: Final = 1 << 16  # bytes that it may print

# Seconds that the commands of one tenant may take at once, and in each second for ever. The first
# ones of each command do not count, so that a quick command is asked for thousands of vassals.
BURST: Final = 10.0
RATE: Final = 0.05
QUICK: Final = 0.25

_NOTHING: Final = (0,)
_LOWEST: Final = "/proc/sys/net/ipv4/ip_unprivileged_port_start"  # ip(7)


class NoAnswer(Exception):
    """It cannot be said whether there is an address; the text says why."""


class BadAddress(Exception):
    """A text that should be an address is none; the message says why."""


class Addresses:
    """Finds the addresses of files. ``beside`` is the extension, None without that option."""

    def __init__(self, options: MonitorOptions) -> None:
        self.beside = options.on_demand_extension
        self._directory = options.on_demand_directory
        self._command = shlex.split(options.on_demand_exec or "")
        self._environment = options.environment
        self._locked = options.locked
        self._taken: dict[int, Bucket] = {}  # seconds that commands took, by uid

    def signature(self, directory: int, file: str) -> tuple[int, ...]:
        """The signature of the file beside. ``directory`` is open, ``file`` the config."""
        assert self.beside is not None
        try:
            status = os.stat(file + self.beside, dir_fd=directory)
        except OSError:
            return _NOTHING
        return (
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
            status.st_dev,
            status.st_size,
        )

    def find(
        self, name: str, spec: Spec, directory: int, file: str, tenant: Tenant | None
    ) -> str | None:
        """The address of the vassal ``name``; its config is ``file`` in the open ``directory``.

        ``tenant`` is given in tyrant mode: whose vassal it is. Raises OSError, NoAnswer,
        BadAddress.
        """
        if self.beside is not None:
            return self._read(directory, file + self.beside, tenant)
        if self._directory is not None:
            stem = os.path.splitext(file)[0]
            return os.path.join(self._directory, stem + ".socket")
        return self._ask(name, spec, tenant) if self._command else None

    def _read(self, directory: int, file: str, tenant: Tenant | None) -> str | None:
        shown = names.shown(file)
        try:
            with opened(
                file,
                tenant,
                locked=self._locked,
                at=directory,
                follow=tenant is None,
                shown=shown,
            ) as descriptor:
                status = os.fstat(descriptor)
                if tenant is not None:
                    _check_owner(status, shown, tenant.uid)
                    _check_writers(descriptor, status, shown, tenant.uid)
                address = checked(os.read(descriptor, LONGEST + 2), shown)
        except (FileNotFoundError, NotRegular):
            return None
        except NotKnown as error:
            raise NoAnswer(f"{shown}: {error}") from None
        except Denied as denied:
            raise BadAddress(str(denied)) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise BadAddress(f"{shown} is a symlink") from None
            raise
        if tenant is not None and status.st_uid != 0:
            hint = "let the file with the address be root's if that is meant"
            _check_port(address or "", tenant.uid, hint)
        return address

    def _environ(self, name: str, spec: Spec, tenant: Tenant) -> Mapping[str, str]:
        if self._environment is None:
            return passed(os.environ)
        return self._environment(name, spec, tenant)

    def _ask(self, name: str, spec: Spec, tenant: Tenant | None) -> str | None:
        path = spec.path or name
        program = self._command[0]
        what = f"--on-demand-exec {names.shown(program)}"
        argument = f"./{path}" if path.startswith("-") else path
        if tenant is not None:
            self._make_room(tenant.uid, what)
        began = time.monotonic()
        try:
            run = Child(
                # It is held to its time even if the daemon dies meanwhile.
                [
                    *("timeout", "--signal=KILL", f"{LIMIT:g}"),
                    *(() if tenant is None else become(tenant)),
                    *(*self._command, argument),
                ],
                env=None if tenant is None else self._environ(name, spec, tenant),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                # In tyrant mode this would be the daemon's log, or a terminal to read from.
                stderr=None if tenant is None else subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise NoAnswer(f"{what}: {error.strerror}") from None
        late = NoAnswer(f"{what} did not end within {LIMIT:g} s")
        with run:
            try:
                output = _output(run, began + LIMIT + _GRACE)
            except subprocess.TimeoutExpired:  # something that it left behind has its output
                raise late from None
            finally:
                if run.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(run.pid, signal.SIGKILL)
                if tenant is not None:
                    self._charge(tenant.uid, time.monotonic() - began)
        if output is None:
            raise NoAnswer(f"{what} printed more than {_MOST >> 10} KiB")
        if run.returncode == -signal.SIGKILL:
            raise late
        if run.returncode != 0:
            whose = "" if tenant is None else f", run as uid {tenant.uid},"
            raise NoAnswer(f"{what}{whose} failed with code {run.returncode}")
        address = checked(output, f"the output of {what}")
        if tenant is not None:
            hint = f"a program run as uid {tenant.uid} cannot give them"
            _check_port(address or "", tenant.uid, hint)
        return address

    def _make_room(self, uid: int, what: str) -> None:
        """Make sure that the commands of a tenant have not taken too long. Raises NoAnswer."""
        bucket = self._taken.get(uid)
        if bucket is None:
            return
        now = time.monotonic()
        if bucket.is_empty(now):
            del self._taken[uid]
        elif bucket.wait(0, now) > 0:
            raise NoAnswer(f"{what} took too long for configs of uid {uid}; it is asked later")

    def _charge(self, uid: int, took: float) -> None:
        """Count the seconds that a command of a tenant took, if it was not quick."""
        if took > QUICK:
            bucket = self._taken.setdefault(uid, Bucket(BURST, RATE))
            bucket.fill(took - QUICK, time.monotonic())


def _output(run: Child, end: float) -> bytes | None:
    """The output of a command that ended; None if it is too long, and the command may run on.

    ``end`` is a time of the monotonic clock. Raises subprocess.TimeoutExpired after it.
    """
    assert run.stdout is not None
    output = bytearray()
    poll = select.poll()
    poll.register(run.stdout, select.POLLIN)
    while poll.poll(max(0.0, end - time.monotonic()) * 1000):
        chunk = os.read(run.stdout.fileno(), _MOST)
        output += chunk
        if len(output) > _MOST:
            return None
        if not chunk:
            run.wait(max(0.0, end - time.monotonic()))
            return bytes(output)
    raise subprocess.TimeoutExpired(run.args, LIMIT)


def _check_owner(status: os.stat_result, file: str, owner: int) -> None:
    """Make sure that the user can have meant what is in the file. Raises BadAddress."""
    if status.st_uid not in (0, owner):
        raise BadAddress(f"{file} belongs to uid {status.st_uid}, not to uid {owner}")
    if status.st_nlink > 1:
        raise BadAddress(f"{file} has {status.st_nlink} hard links; copy the file instead")


def _check_writers(file: int, status: os.stat_result, shown: str, owner: int) -> None:
    """Make sure that no other user can write to the open file. Raises BadAddress, NotKnown."""
    flaw = ownership.written_by_others(f"/proc/self/fd/{file}", status, shown, owner)
    if flaw is not None:
        raise BadAddress(flaw)


def _check_port(address: str, owner: int, hint: str) -> None:
    """Make sure that the user could listen there without root's help. Raises BadAddress."""
    port = quantities.port(address.rpartition(":")[2])
    if ":" not in address or address.startswith(("/", "@")) or port is None:
        return  # not TCP, or no address at all
    with open(_LOWEST) as file:
        lowest = int(file.read())
    if port < lowest:
        raise BadAddress(
            f"uid {owner} may not listen at {names.shown(address)}, ports below {lowest} are"
            f" root's; {hint}"
        )


def checked(raw: bytes, where: str) -> str | None:
    """The address on the first line of what was read; None if there is none. Raises BadAddress."""
    line = raw.partition(b"\n")[0].strip()
    text = line.decode("utf-8", "surrogateescape")
    if len(line) > LONGEST or not text.isprintable():
        raise BadAddress(f"{where} is no address: it is too long or not plain text")
    return text or None
