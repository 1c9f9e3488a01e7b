"""Generated sources: each of their lines is taken or named, whichever others stand beside it."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from emperord.daemon.migrating import (
    procfile,
    supervisord,
    unit,
    unit_advice,
    unit_settings,
)
from emperord.daemon.migrating.found import Found
from emperord.daemon.uwsgi import as_yaml, emperor_options, plan, reader
from hypothesis import given
from hypothesis import strategies as st

VALUES = (
    "1", "0", "no", "true", "false", "root", "daemon", "infinity", "1min", "5x", "/srv/a",
    "-/srv/a",
    "a b", "A=1 B", "'A=1' A=2", "'open", "%n", "%q", "%%", "notify", "oneshot", "mixed", "always",
    "/bin/a $A", "+/bin/a", ";", "-", "/bin/kill -HUP $MAINPID", "/bin/kill -TERM $MAINPID", "50%",
    "network.target", "127.0.0.1:80", "[::]:80", "@a", "1 HUP", "unexpected", "A=\"x\",B=y",
    "%(x)s", "tcp://*:80", "TERM",
)  # fmt: skip
SERVICE = sorted(
    {
        *unit_settings.SETTINGS, *unit_settings.TIMEOUTS, *unit_settings.COMMANDS,
        *unit_settings.LAST, *unit_settings.USERS,
        *unit_advice.SERVICE,
        *unit_advice.NEEDED, *(key for _, key in unit_advice.TAKEN),
        *(f"{prefix}X" for prefix, _ in unit_advice.PREFIXES), "Type", "ExecStart", "ExecStartPre",
        "Environment", "EnvironmentFile", "X-Own", "Odd",
    }
)  # fmt: skip
SOCKET = (
    "ListenStream", "ListenDatagram", "SocketUser", "SocketGroup", "SocketMode", "Backlog",
    "Accept",
    "FileDescriptorName", "Service", "Description", "Odd",
)  # fmt: skip
# Several of these would become one setting.
SHARED = (
    ("Type", "notify-reload"), ("ReloadSignal", "USR2"), ("ReloadSignal", "SIGHUP"),
    ("ExecReload", "/bin/kill -HUP $MAINPID"), ("ExecStop", "/bin/kill -INT $MAINPID"),
    ("KillSignal", "SIGQUIT"), ("KillSignal", "SIGINT"), ("SuccessExitStatus", "3"),
    ("RestartPreventExitStatus", "4"), ("TimeoutSec", "1min"), ("TimeoutStartSec", "5"),
    ("TimeoutStopSec", "7"), ("MemoryMax", "1G"), ("MemoryLimit", "2G"),
)  # fmt: skip
SHARED_OF_SOCKET = (
    ("SocketUser", "root"), ("SocketUser", "daemon"), ("SocketMode", "0660"),
    ("SocketMode", "0600"), ("Backlog", "5"), ("Backlog", "7"),
)  # fmt: skip
MAY_COME_TWICE = ("environment", "environment-file", "listen")
UNIT = (*unit_advice.UNIT, "Description", "ConditionPathExists", "Odd")
PROGRAM = (
    "command", "directory", "user", "umask", "environment", "autostart", "autorestart", "exitcodes",
    "startsecs", "startretries", "stopsignal", "stopwaitsecs", "stopasgroup", "killasgroup",
    "redirect_stderr", "stdout_logfile", "stderr_logfile_backups", "priority", "serverurl", "odd",
)  # fmt: skip
EMPEROR = sorted(name.replace("*", "x") for row in emperor_options.ROWS for name in row.names)

Lines = list[tuple[str, str]]


def lines_of(*keys: str, values: Sequence[str] = VALUES) -> st.SearchStrategy[Lines]:
    """Some keys, which may come several times."""
    return st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(values)), max_size=8)


def text_of(lines: Lines) -> str:
    return "".join(f"{key}={value}\n" for key, value in lines)


def told(found: Found) -> Iterator[str]:
    """The lines of the source that were taken or named."""
    for vassal in found.vassals:
        yield from (each.line for each in vassal.told)
    yield from (f"{origin} {each.line}" for origin, each in found.apart)


def lost(found: Found, lines: Lines) -> Lines:
    """The lines that vanished."""
    all_told = list(told(found))
    return [
        (key, value)
        for key, value in lines
        if not any(f"{key} = {value}" in line for line in all_told)
    ]


def written_twice(found: Found) -> list[str]:
    """The settings that a vassal has twice, although the last one alone counts."""
    twice = []
    for vassal in found.vassals:
        written = [key for each in vassal.told for key, _ in each.settings]
        twice += [key for key in {*written} - {*MAY_COME_TWICE} if written.count(key) > 1]
    return twice


@given(
    service=lines_of(*SERVICE),
    many=lines_of("ExecReload", "ExecStop", "ExecStart", "Type", "Environment"),
    unit_lines=lines_of(*UNIT),
    shared=st.lists(st.sampled_from(SHARED), max_size=8),
    socket=lines_of(*SOCKET),
    shared_of_socket=st.lists(st.sampled_from(SHARED_OF_SOCKET), max_size=4),
    no_key=st.sampled_from(("", "Odd\n", "UMask\n")),
    end=st.sampled_from(("", "\\", "\\\n", "\n")),
)
def test_of_a_unit(
    service: Lines,
    many: Lines,
    unit_lines: Lines,
    shared: Lines,
    socket: Lines,
    shared_of_socket: Lines,
    no_key: str,
    end: str,
) -> None:
    service, socket = service + many + shared, socket + shared_of_socket
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.service")
        last = f"{no_key}[Service]\n{text_of(service)}User=last {end}"
        path.write_text(f"[Unit]\n{text_of(unit_lines)}{last}")
        path.with_suffix(".socket").write_text(f"[Socket]\n{text_of(socket)}")
        found, _ = unit.read(str(path), path.name, {})
    assert lost(found, [*service, *unit_lines, *socket, ("User", "last")]) == []
    assert no_key.strip() in "\n".join(told(found))
    assert written_twice(found) == []


@given(program=lines_of(*PROGRAM), daemon=lines_of("umask", "directory", "pidfile", "odd"))
def test_of_a_supervisord_conf(program: Lines, daemon: Lines) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "supervisord.conf")
        path.write_text(f"[supervisord]\n{text_of(daemon)}[program:a]\n{text_of(program)}")
        found, _ = supervisord.read(str(path), path.name, {})
    # A percent sign is told as what it means, and variables without their values.
    wanted = [(key, value) for key, value in program if key != "environment" and value != "%%"]
    assert lost(found, wanted) == []
    assert lost(found, [(key, value) for key, value in daemon if value != "%%"]) == []
    assert written_twice(found) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("web", "a-b", "release", "all")),
            st.sampled_from(("run", "A=1 run", "run $A", "a && b", "a | b", "'open", "A=1", "# a")),
        ),
        max_size=6,
    ),
    st.sampled_from(("", "web", "my.app: run", ":", "= x")),
)
def test_of_a_procfile(processes: Lines, no_process: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "Procfile")
        path.write_text("".join(f"{name}: {line}\n" for name, line in processes) + no_process)
        found, _ = procfile.read(str(path), path.name, folder, {})
    all_told = list(told(found))
    for line in (*(line for _, line in processes), no_process):
        assert any(line in each for each in all_told) or not line
    assert written_twice(found) == []


@given(lines_of(*EMPEROR, values=[value for value in VALUES if not value.endswith("%")]))
def test_of_an_emperors_config(lines: Lines) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.ini")
        path.write_text(f"[uwsgi]\n{text_of(lines)}")
        written = as_yaml.write("a.ini", plan.make(reader.read(str(path))))
    missing = [pair for number, pair in enumerate(lines, 2) if f"a.ini:{number}: " not in written]
    assert missing == []
