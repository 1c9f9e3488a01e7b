"""From a supervisord.conf: each program is a vassal, and each of its ``numprocs`` one."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from .found import Found, Refused, Vassal, file_name
from .supervisord_config import Config, NotExpanded, names, variables

_TRUE: Final = ("yes", "true", "on", "1")
_FALSE: Final = ("no", "false", "off", "0")
_PROGRAM: Final = "program"
_FASTCGI: Final = "fcgi-program"
_LISTENER: Final = "eventlistener"
_MOST: Final = 1000  # instances of one program
_START_PATIENCE: Final = 30  # seconds, the default of --start-patience

_NO_RETRIES: Final = "with restart = no a vassal is not tried again; on-failure tries for ever"
_LATER: Final = "a later line has this key, and counts alone, as for supervisord"
_NESTED: Final = "an included file includes no other, also for supervisord; name it in the first"
_EACH_ITS_OWN: Final = "each program has its own"
_NO_PROGRAM: Final = "there is no such program in it"
_STAYS_DOWN: Final = (
    "an end within startsecs stays down, too; supervisord tries again startretries times"
)
# Keys of a program that no setting stands for, and their advice.
_ADVICE: Final = {
    "priority": "all vassals start at once, --max-starting at a time; let a program wait for what"
    " it needs, or retry",
    "startretries": "a vassal is tried for ever, with a delay that doubles up to --max-throttle",
    "stdout_logfile_maxbytes": "give the daemon --log-size",
    "stdout_logfile_backups": "give the daemon --log-keep",
    "stderr_logfile_maxbytes": "give the daemon --log-size",
    "stderr_logfile_backups": "give the daemon --log-keep",
    "stdout_capture_maxbytes": "the log has all output; 'emperor-ctl logs' shows it",
    "stderr_capture_maxbytes": "the log has all output; 'emperor-ctl logs' shows it",
    "stdout_events_enabled": "there are no events of output; 'emperor-ctl logs -f' follows it",
    "stderr_events_enabled": "there are no events of output; 'emperor-ctl logs -f' follows it",
    "stdout_syslog": "output goes to a log file; give the daemon --log inherit, and its output to"
    " syslog",
    "stderr_syslog": "output goes to a log file; give the daemon --log inherit, and its output to"
    " syslog",
    "serverurl": "programs that ask supervisord by XML-RPC ask emperor-ctl instead",
}
# The same of [supervisord].
_DAEMON_ADVICE: Final = {
    "logfile": "the daemon's own log goes to standard error, or to the file of --log-file",
    "logfile_maxbytes": "have logrotate cut the file of --log-file",
    "logfile_backups": "have logrotate cut the file of --log-file",
    "loglevel": "there are no levels; the journal records every event",
    "pidfile": "give the daemon --pidfile, if a script reads it; 'emperor-ctl status' needs none",
    "nodaemon": "emperor runs in the foreground, unless it has --daemonize",
    "silent": "emperor logs to standard error alone",
    "minprocs": "give the unit of systemd LimitNPROC=",
    "nocleanup": "emperor keeps all logs",
    "childlogdir": "give the daemon --log-directory",
    "user": "give the daemon --user, or leave it out where programs have a user of their own",
    "identifier": "'emperor --name MONITOR=NAME' names a source",
    "strip_ansi": "logs have the bytes that a program writes; 'emperor-ctl logs' escapes them",
}
_SECTION_ADVICE: Final = {
    "unix_http_server": "emperor-ctl uses the control socket: --control, --control-group",
    "inet_http_server": "there is no server on the network; use emperor-ctl over ssh",
    "supervisorctl": "emperor-ctl needs no settings; its socket is --control",
    "rpcinterface": "there are no plugins; 'emperor-ctl --json' is for scripts",
    "ctlplugin": "there are no plugins; 'emperor-ctl --json' is for scripts",
    _LISTENER: "it speaks supervisord's event protocol; write a program that reads the lines of"
    " 'emperor-ctl events -f --json', and run it as a vassal",
}


def read(path: str, source: str, environ: Mapping[str, str]) -> tuple[Found, list[str]]:
    """The vassals of a supervisord.conf, and the files that it is made of.

    Raises Refused and OSError.
    """
    try:
        config = Config(path, environ)
    except NotExpanded as flaw:
        raise Refused(f"{source}: [include] files: {flaw}") from None
    found = Found(source)
    for pattern in config.missing:
        found.name_apart("[include]", f"files = {pattern}", "no file matches it")
    for value in config.nested:
        found.name_apart("[include]", f"files = {_line(value)}", _NESTED)
    groups = _groups(config, found)
    for section in config.sections():
        for key, value in config.former(section):
            found.name_apart(f"[{section}]", f"{key} = {_line(value)}", _LATER)
        kind, _, name = section.partition(":")
        if kind in (_PROGRAM, _FASTCGI):
            for vassal in _Program(config, section, groups.get(name, "")).instances():
                found.add(vassal)
            if _line(config.items(section).get("numprocs", "")) == "0":
                found.name_apart(f"[{section}]", "numprocs = 0", "supervisord starts none of it")
        elif kind in _SECTION_ADVICE:
            found.name_apart(f"[{section}]", "", _SECTION_ADVICE[kind])
        elif kind not in ("supervisord", "include", "group"):
            found.name_apart(f"[{section}]", "", "supervisord has no such section")
    _others(config, found)
    return found, config.files


def _others(config: Config, found: Found) -> None:
    """Name the keys of [include] and of [supervisord] that become no settings."""
    for key, value in config.items("include").items():
        if key != "files":
            found.name_apart("[include]", f"{key} = {_line(value)}", "supervisord has no such key")
    programs = [
        config.items(section)
        for section in config.sections()
        if section.partition(":")[0] in (_PROGRAM, _FASTCGI)
    ]
    for key, value in config.items("supervisord").items():
        if key in ("directory", "umask") and all(key in items for items in programs):
            found.name_apart("[supervisord]", f"{key} = {_line(value)}", _EACH_ITS_OWN)
        elif key not in _OF_DAEMON:
            advice = _DAEMON_ADVICE.get(key, "supervisord has no such key")
            found.name_apart("[supervisord]", f"{key} = {_line(value)}", advice)


def _groups(config: Config, found: Found) -> dict[str, str]:
    """The group of each program that is in one."""
    groups = {}
    programs = set(config.sections())
    for section in config.sections():
        kind, _, group = section.partition(":")
        if kind != "group":
            continue
        for key, value in config.items(section).items():
            if key == "programs":
                for program in filter(None, map(str.strip, value.split(","))):
                    groups[program] = group.strip()
                    if not programs.intersection(
                        (f"{_PROGRAM}:{program}", f"{_FASTCGI}:{program}")
                    ):
                        found.name_apart(f"[{section}]", f"programs = {program}", _NO_PROGRAM)
            else:
                advice = _ADVICE.get(key, "supervisord has no such key")
                found.name_apart(f"[{section}]", f"{key} = {_line(value)}", advice)
    return groups


def _line(value: str) -> str:
    return " ".join(value.split())


def _inherited(daemon: Mapping[str, str]) -> dict[str, str]:
    """The keys of [supervisord] that its programs get, and that they do not set themselves."""
    return {key: daemon[key] for key in ("directory", "umask", "minfds") if key in daemon}


class _Program:
    """One section of a program."""

    def __init__(self, config: Config, section: str, group: str) -> None:
        self._config = config
        self._section = section
        self._kind, _, name = section.partition(":")
        self._name = name.strip()
        self._group = group
        self._items = config.items(section)
        self._daemon = config.items("supervisord")

    def instances(self) -> Iterator[Vassal]:
        """A vassal for each of its processes. Raises Refused."""
        number, first = self._number("numprocs", 1), self._number("numprocs_start", 0)
        if number > _MOST:
            raise Refused(f"[{self._section}] numprocs = {number}: write {_MOST} at most")
        for instance in range(first, first + number):
            yield self._vassal(instance, number)
            if self._kind == _FASTCGI:
                break  # they share one socket, and two vassals cannot

    def _number(self, key: str, default: int) -> int:
        value = self._items.get(key, str(default))
        if not value.isascii() or not value.isdigit():
            raise Refused(f"[{self._section}] {key} = {_line(value)}: it is no number")
        return int(value)

    def _vassal(self, instance: int, number: int) -> Vassal:
        expansions: dict[str, object] = {
            "program_name": self._name,
            "group_name": self._group or self._name,
            "process_num": instance,
            "numprocs": number,
        }
        vassal = Vassal("", f"[{self._section}]")
        vassal.name = file_name(self._process_name(vassal, expansions, number))
        self._environment(vassal, expansions)
        ours = {**_inherited(self._daemon), **self._items}
        items = {"command": self._items.get("command", ""), **ours}
        for key, written in items.items():
            if key in _HERE_ALREADY:
                if key != "environment":
                    vassal.take(f"{key} = {_line(written)}")
                continue
            value = self._expanded(vassal, key, written, expansions)
            if value is not None:
                self._map(vassal, key, value)
        self._defaults(vassal)
        vassal.told.sort(key=lambda told: not told.line.startswith("command"))
        return vassal

    def _process_name(self, vassal: Vassal, expansions: dict[str, object], number: int) -> str:
        pattern = self._items.get("process_name", "%(program_name)s")
        if number > 1 and "%(process_num)" not in pattern:
            raise Refused(
                f"[{self._section}] process_name: numprocs is {number}, so it needs"
                " %(process_num)02d, also for supervisord"
            )
        try:
            name = self._config.expand(pattern, expansions)
        except NotExpanded as flaw:
            raise Refused(f"[{self._section}] process_name: {flaw}") from None
        if self._group and not name.startswith(self._group):
            vassal.take(
                f"group {self._group}", says=f"'{self._group}-*' is the group for emperor-ctl"
            )
            return f"{self._group}-{name}"
        return name

    def _environment(self, vassal: Vassal, expansions: dict[str, object]) -> None:
        """Take the variables of the daemon, then those of the program, which may use both."""
        for items, label in (
            (self._daemon, "[supervisord] environment"),
            (self._items, "environment"),
        ):
            if "environment" not in items:
                continue
            value = self._expanded(vassal, label, items["environment"], expansions)
            if value is None:
                continue
            try:
                found = variables(value)
            except ValueError as flaw:
                vassal.name_unfinished(f"{label} = {_line(value)}", str(flaw))
                continue
            for name, text in found.items():
                vassal.take(label, ("environment", f"{name}={shlex.quote(text)}"))
                expansions[f"ENV_{name}"] = text

    def _expanded(
        self, vassal: Vassal, key: str, written: str, expansions: Mapping[str, object]
    ) -> str | None:
        """The value with its ``%(name)s`` expanded. None if it cannot be, and that is named."""
        try:
            value = self._config.expand(written, expansions)
        except NotExpanded as flaw:
            vassal.name_unfinished(f"{key} = {_line(written)}", f"{flaw}; write the value here")
            return None
        outside = [name for name in names(written) if f"ENV_{name}" not in expansions]
        if outside and key in ("command", "directory", "user", "environment"):
            vassal.take(
                f"{key} = {_line(written)}",
                says=f"{', '.join(outside)} had this value in the environment of --migrate",
            )
        return value

    def _map(self, vassal: Vassal, key: str, value: str) -> None:
        line = f"{key} = {_line(value)}"
        if key == "command" and self._kind == _FASTCGI:
            _fastcgi_command(vassal, line, _line(value))
        elif key == "autorestart":
            _autorestart(vassal, line, _line(value), retries=self._retries())
        elif key == "startretries" and _true(self._items.get("autorestart", "")) is False:
            vassal.name_line(line, _NO_RETRIES)
        elif key in _MAPPED:
            _MAPPED[key](vassal, line, _line(value))
        elif key in _ADVICE:
            vassal.name_line(line, _ADVICE[key])
        elif key.startswith("socket") and self._kind == _FASTCGI:
            _socket(vassal, line, key, value)
        else:
            vassal.name_line(line, "supervisord has no such key")

    def _retries(self) -> bool:
        """Whether supervisord starts a program again that ended within its ``startsecs``."""
        return all(_line(self._items.get(key, "1")) != "0" for key in ("startsecs", "startretries"))

    def _defaults(self, vassal: Vassal) -> None:
        """Write the defaults of supervisord that are not ours, and settings that need two keys."""
        number = self._number("numprocs", 1)
        if self._kind == _FASTCGI and number > 1:
            vassal.name_line(
                f"numprocs = {number}",
                "one vassal has the socket; let the program start its workers (PHP_FCGI_CHILDREN)",
            )
        if vassal.value("command") is None and "command" not in vassal.unfinished:
            vassal.name_unfinished("command", "there is none, also for supervisord")
        if vassal.value("restart") is None:
            vassal.take("autorestart = unexpected (default)", ("restart", "on-failure"))
        if vassal.value("stop-timeout") is None:
            vassal.take("stopwaitsecs = 10 (default)", ("stop-timeout", "10s"))
        program = (vassal.value("command") or "").partition(" ")[0]
        if "/" in program and not program.startswith("/") and vassal.value("directory") is None:
            vassal.name_unfinished(
                f"command = {program}",
                "it is relative to where supervisord was started; set directory",
            )


def _true(value: str) -> bool | None:
    return True if value.lower() in _TRUE else False if value.lower() in _FALSE else None


def _command(vassal: Vassal, line: str, value: str) -> None:
    if not value:
        return
    vassal.take(line, ("command", value))
    program = value.split()[0].rpartition("/")[2]
    if program.startswith("uwsgi"):
        vassal.name_line(
            line, "uWSGI: put its own config into the folder instead; it then reloads in place"
        )


def _autostart(vassal: Vassal, line: str, value: str) -> None:
    if _true(value):
        vassal.take(line)
    else:
        vassal.name_unfinished(
            line, "a vassal starts when its file comes; rename it, or give it later"
        )


def _autorestart(vassal: Vassal, line: str, value: str, *, retries: bool) -> None:
    """``retries`` is whether supervisord starts a program again that ends within ``startsecs``."""
    if value.lower() == "unexpected":
        says = "a success stays down, also within startsecs" if retries else ""
        vassal.take(line, ("restart", "on-failure"), says=says)
    elif _true(value) is None:
        vassal.name_unfinished(line, "it is none of true, false, unexpected")
    elif _true(value):
        vassal.take(line, ("restart", "always"))
    else:
        vassal.take(line, ("restart", "no"), says=_STAYS_DOWN if retries else "")


def _exitcodes(vassal: Vassal, line: str, value: str) -> None:
    vassal.take(line, ("success-exit-codes", " ".join(value.replace(",", " ").split())))


def _startsecs(vassal: Vassal, line: str, value: str) -> None:
    if value in ("0", "1"):
        vassal.take(line)  # as it is without a setting
        return
    pairs = [("ready", f"{value}s")]
    if value.isascii() and value.isdigit() and int(value) >= _START_PATIENCE:
        pairs.append(("ready-timeout", f"{int(value) + 10}s"))
    vassal.take(line, *pairs)


def _user(vassal: Vassal, line: str, value: str) -> None:
    if value in ("root", "0"):
        vassal.take(line, says="it runs as the daemon does")
    else:
        vassal.take(line, ("user", value))


def _stopwaitsecs(vassal: Vassal, line: str, value: str) -> None:
    if value == "0":
        vassal.take(line, ("stop-timeout", "100ms"), says="this is the shortest time that helps")
    else:
        vassal.take(line, ("stop-timeout", f"{value}s"))


def _stopasgroup(vassal: Vassal, line: str, value: str) -> None:
    if _true(value):
        vassal.name_line(
            line,
            "the stop signal goes to the program alone; what it leaves behind is killed when it has"
            " ended. A shell before it should exec it",
        )
    else:
        vassal.take(line)


def _killasgroup(vassal: Vassal, line: str, value: str) -> None:
    if _true(value):
        vassal.take(line)
    else:
        vassal.name_line(line, "all that a vassal leaves behind is killed")


def _redirect_stderr(vassal: Vassal, line: str, value: str) -> None:
    if _true(value):
        vassal.take(line)
    else:
        vassal.take(line, says="both outputs go to one log")


def _logfile(vassal: Vassal, line: str, value: str) -> None:
    if value in ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2"):
        vassal.name_line(line, "give the daemon --log inherit")
    elif value.lower() in ("none", "off", "/dev/null"):
        vassal.take(line, says="output goes to a log all the same; it is cut at --log-size")
    elif value.lower() == "auto":
        vassal.take(line)
    else:
        vassal.take(
            line,
            says="output goes to a log in --log-directory; 'emperor-ctl logs' shows it",
        )


def _socket(vassal: Vassal, line: str, key: str, value: str) -> None:
    if key == "socket":
        scheme, _, rest = value.partition("://")
        if scheme not in ("tcp", "unix"):
            vassal.name_unfinished(line, "write tcp://HOST:PORT or unix:///PATH")
        elif scheme == "tcp" and rest.startswith("*:"):
            vassal.take(line, ("listen", rest.removeprefix("*")))
        else:
            vassal.take(line, ("listen", rest))
    else:
        name = {"socket_backlog": "backlog", "socket_owner": "owner", "socket_mode": "mode"}.get(
            key
        )
        if name is None:
            vassal.name_line(line, "supervisord has no such key")
        else:
            vassal.take(line, (f"listen-{name}", value))


def _fastcgi_command(vassal: Vassal, line: str, value: str) -> None:
    """FastCGI wants its socket as standard input, and a kept socket is descriptor 3."""
    if value:
        vassal.take(
            line,
            ("command", f"sh -c 'exec \"$@\" <&3 3<&-' sh {value}"),
            says="sh makes the kept socket the program's standard input",
        )


def _setting(name: str, unit: str = "") -> Callable[[Vassal, str, str], None]:
    return lambda vassal, line, value: vassal.take(line, (name, f"{value}{unit}"))


def _minfds(vassal: Vassal, line: str, value: str) -> None:
    vassal.take(f"[supervisord] {line}", ("nofile", value))


_HERE_ALREADY: Final = ("environment", "numprocs", "numprocs_start", "process_name")
_OF_DAEMON: Final = ("environment", "directory", "umask", "minfds")
_MAPPED: Final[dict[str, Callable[[Vassal, str, str], None]]] = {
    "command": _command,
    "directory": _setting("directory"),
    "user": _user,
    "umask": _setting("umask"),
    "minfds": _minfds,
    "autostart": _autostart,
    "exitcodes": _exitcodes,
    "startsecs": _startsecs,
    "stopsignal": _setting("stop-signal"),
    "stopwaitsecs": _stopwaitsecs,
    "stopasgroup": _stopasgroup,
    "killasgroup": _killasgroup,
    "redirect_stderr": _redirect_stderr,
    "stdout_logfile": _logfile,
    "stderr_logfile": _logfile,
}
