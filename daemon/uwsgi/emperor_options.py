"""The fate of each option that an emperor's config can have: the table.

An option is *taken*, as one of ours. Or it is *needless*, because it changes nothing here. Or it is
*warned of*, with what to do instead, and the start goes on. Or it is *refused*, and the daemon does
not start. It is refused by one of three rules, where ignoring it would do harm:

- ``RIGHTS``: vassals would run with more rights than the config gives them.
- ``PROGRAM``: a program that the config runs for vassals, or beside them, would not run.
- ``REQUESTS``: requests that the emperor's own process answers would find nothing.
"""

import enum
from typing import Final, NamedTuple


class Fate(enum.Enum):
    """The word that stands for it in docs/from-uwsgi.md."""

    TAKEN = "taken"
    NEEDLESS = "needless"
    WARNED = "warned of"
    REFUSED = "refused"


class Kind(enum.Enum):
    """How the value of an option that is taken is read."""

    TEXT = "text"  # the last one counts
    MANY = "many"
    FLAG = "flag"
    SECONDS = "s"
    MILLISECONDS = "ms"
    USER = "user"
    MONITOR = "monitor"
    DIRECTORY = "directory"
    VARIABLE = "variable"
    LOG = "log"
    HOOK = "hook"
    MOUNT = "mount"
    UMOUNT = "umount"
    NAMESPACES = "namespaces"


class Row(NamedTuple):
    """Options with one fate; a name that ends with ``*`` stands for all that begin so."""

    names: tuple[str, ...]
    fate: Fate
    text: str  # the advice; of an option that is taken, our name
    kind: Kind = Kind.TEXT
    rule: str = ""


_IN_WORDS: Final = (Kind.DIRECTORY, Kind.VARIABLE)
RIGHTS: Final = "rights"
PROGRAM: Final = "program"
REQUESTS: Final = "requests"


def _taken(kind: Kind, ours: str, *names: str) -> Row:
    return Row(names, Fate.TAKEN, ours, kind)


def _needless(text: str, *names: str) -> Row:
    return Row(names, Fate.NEEDLESS, text)


def _warned(text: str, *names: str) -> Row:
    return Row(names, Fate.WARNED, text)


def _refused(rule: str, text: str, *names: str) -> Row:
    return Row(names, Fate.REFUSED, text, rule=rule)


# fmt: off
ROWS: Final = (
    _taken(Kind.MONITOR, "monitor", "emperor"),
    _taken(Kind.SECONDS, "freq", "emperor-freq"),
    _taken(Kind.SECONDS, "required-heartbeat", "emperor-required-heartbeat"),
    _taken(Kind.SECONDS, "mercy", "emperor-curse-tolerance"),
    _taken(Kind.MILLISECONDS, "throttle", "emperor-throttle"),
    _taken(Kind.MILLISECONDS, "max-throttle", "emperor-max-throttle"),
    _taken(Kind.FLAG, "tyrant", "emperor-tyrant"),
    _taken(Kind.FLAG, "tyrant-nofollow", "emperor-tyrant-nofollow"),
    _taken(Kind.FLAG, "tyrant-initgroups", "emperor-tyrant-initgroups"),
    _taken(Kind.FLAG, "nofollow", "emperor-nofollow"),
    _taken(Kind.FLAG, "graceful-shutdown", "emperor-graceful-shutdown"),
    _taken(Kind.TEXT, "wrapper", "emperor-wrapper"),
    _taken(Kind.MANY, "extra-extension", "emperor-extra-extension", "emperor-extra-ext"),
    _taken(
        Kind.TEXT, "on-demand-extension", "emperor-on-demand-extension", "emperor-on-demand-ext"
    ),
    _taken(
        Kind.TEXT, "on-demand-directory", "emperor-on-demand-directory", "emperor-on-demand-dir"
    ),
    _taken(Kind.TEXT, "on-demand-exec", "emperor-on-demand-exec"),
    _taken(Kind.MANY, "vassals-inherit", "vassals-inherit"),
    _taken(Kind.MANY, "vassals-include", "vassals-include"),
    _taken(Kind.MANY, "vassals-inherit-before", "vassals-inherit-before"),
    _taken(Kind.MANY, "vassals-include-before", "vassals-include-before"),
    _taken(Kind.MANY, "vassal-set", "vassals-set", "vassal-set"),
    _taken(
        Kind.MANY, "pidfile",
        "emperor-pidfile", "pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2",
    ),
    _taken(
        Kind.MANY, "stats", "emperor-stats", "emperor-stats-server", "stats", "stats-server"
    ),
    _taken(Kind.LOG, "log-file", "logto", "logto2"),
    _taken(Kind.LOG, "daemonize", "daemonize", "daemonize2"),
    _taken(Kind.MANY, "start-hook", "vassals-start-hook"),
    _taken(Kind.MANY, "stop-hook", "vassals-stop-hook"),
    _taken(Kind.HOOK, "exec-as-vassal", "hook-as-vassal"),
    _taken(Kind.MOUNT, "exec-as-vassal", "mount-as-vassal"),
    _taken(Kind.UMOUNT, "exec-as-vassal", "umount-as-vassal"),
    _taken(Kind.MANY, "exec-as-vassal", "exec-as-vassal"),
    _taken(Kind.HOOK, "exec-as-emperor", "hook-as-emperor"),
    _taken(Kind.MOUNT, "exec-as-emperor", "mount-as-emperor"),
    _taken(Kind.UMOUNT, "exec-as-emperor", "umount-as-emperor"),
    _taken(Kind.MANY, "exec-as-emperor", "exec-as-emperor"),
    _taken(Kind.NAMESPACES, "namespaces", "emperor-use-clone"),
    _taken(
        Kind.TEXT, "capability-bounding-set", "emperor-cap", "vassals-cap", "vassal-cap"
    ),
    _taken(Kind.MANY, "wrapper-override", "emperor-wrapper-override"),
    _taken(Kind.MANY, "wrapper-fallback", "emperor-wrapper-fallback"),
    _taken(Kind.USER, "user", "uid", "gid", "immediate-uid", "immediate-gid"),
    _taken(Kind.DIRECTORY, "where relative monitors begin", "chdir"),
    _taken(Kind.VARIABLE, "the environment of vassals", "env"),
    _needless("the daemon always starts at once", "early-emperor"),
    _needless("processes are named as they are", "emperor-procname", "procname*", "auto-procname"),
    _needless(
        "it is for a vassal's own config", "vassal-sos", "vassal-sos-backlog", "heartbeat",
        "hook-emperor-start", "hook-emperor-stop", "hook-emperor-reload", "hook-emperor-lost",
    ),
    _needless("a keeper stays above the daemon", "master", "no-orphans", "master-as-root"),
    _needless("all sources are built in", "imperial-monitor-list", "imperial-monitors-list"),
    _needless("the keeper adopts what a vassal leaves behind", "emperor-subreaper"),
    _needless("SIGTERM stops the daemon and its vassals", "die-on-term"),
    _needless("the daemon removes its own sockets", "vacuum"),
    _needless(
        "the daemon runs no application itself", "need-app", "no-default-app", "lazy", "lazy-apps",
        "single-interpreter", "enable-threads", "threads", "processes", "workers", "thunder-lock",
        "harakiri", "buffer-size", "listen", "max-requests", "cheaper*", "reload-mercy",
        "worker-reload-mercy", "disable-logging", "ignore-sigpipe", "ignore-write-errors",
        "disable-write-exception", "close-on-exec", "memory-report", "strict",
    ),
    _needless(
        "it is for an application", "reload-on-*", "evil-reload-on-*", "home", "pyhome",
        "virtualenv", "venv", "pythonpath", "python-path", "pp", "callable",
        "offload-threads", "post-buffering*", "cache*", "enable-metrics",
        "pcre-jit", "*-timeout", "route*", "cheap", "static-*", "max-worker-lifetime",
        "manage-script-name", "gevent*", "async", "so-keepalive", "harakiri-verbose",
    ),
    _needless(
        "a vassal loads its own plugins, and all sources are built in", "plugins", "plugin",
        "need-plugins", "need-plugin", "plugins-dir", "plugin-dir", "autoload",
    ),
    _needless(
        "it belongs to a router or a socket; see that line", "http-*", "https-*", "fastrouter-*",
        "rawrouter-*", "sslrouter-*", "chmod-socket", "chown-socket", "subscription-*",
    ),
    _warned("add the user to the group: a user has the groups of its account", "add-gid"),
    _warned(
        "the document comes as it is, without a header of HTTP, and is pushed nowhere", "stats-*"
    ),
    _warned(
        "the daemon's log has times, and a form by log-format; each vassal has a log of its own in"
        " log-directory",
        "log-*", "logger", "logger-req", "req-logger", "logdate", "logformat*", "logfile-*",
    ),
    _warned("use emperor-ctl in place of the pipe", "master-fifo"),
    _warned(
        "use emperor-ctl in place of the socket", "emperor-command-socket", "emperor-trigger-socket"
    ),
    _warned(
        "each vassal starts; emperor-ctl stop NAME keeps one down until emperor-ctl start NAME",
        "emperor-wait-for-command*",
    ),
    _warned(
        "write the setting into [emperor] of each config", "emperor-chdir-attr",
        "emperor-wrapper-attr", "emperor-fork-server-attr", "emperor-collect-attr*",
    ),
    _warned("write them into the URL: amqp://USER:PASSWORD@HOST/VHOST", "emperor-amqp-*"),
    _warned("use emperor-ctl reload", "touch-*"),
    _warned("write After= or a condition into the unit", "wait-for-*"),
    _warned(
        "write Environment= or UnsetEnvironment= into the unit", "unenv", "envdir", "early-envdir"
    ),
    _warned(
        "--user and --tyrant need no capability; for vassals, AmbientCapabilities= is in the unit",
        "cap",
    ),
    _warned(
        "a vassal gets no reinforcements; start as many processes as its peak needs, or cheaper",
        "emperor-broodlord", "zerg*",
    ),
    _warned("use a small throttle and max-throttle", "emperor-no-blacklist"),
    _warned(
        "write the Limit directives into the unit, as LimitNOFILE=; in [emperor], as nofile",
        "limit-*", "max-fd", "rlimit-*",
    ),
    _warned(
        "write CPU and memory limits into [emperor]", "cgroup*", "cpu-affinity", "nice", "prio"
    ),
    _warned("the daemon answers no requests, so nothing listens there",
        "http-socket", "https-socket", "*socket"),
    _refused(
        RIGHTS,
        "write namespaces into the unit, as PrivateNetwork=, and start by --config",
        "unshare", "unshare2", "setns*", "jail*", "use-clone", "ns",
        "ns-*", "namespace*",
    ),
    _refused(
        RIGHTS,
        "write RootDirectory= into the unit, and start by --config",
        "chroot", "pivot-root", "pivot_root",
    ),
    _refused(
        RIGHTS, "write User= and SupplementaryGroups= into the unit", "no-initgroups"
    ),
    _refused(RIGHTS, "write umask into [emperor] of a file for vassal-defaults", "umask"),
    _refused(
        PROGRAM,
        "do it by exec-as-vassal, or in a wrapper, a script that ends with exec uwsgi \"$@\"",
        "call-as-vassal", "call-as-vassal1", "call-as-vassal3", "hook-as-vassal-before-drop",
    ),
    _refused(
        PROGRAM,
        "only commands are run: write one, by exec-as-emperor or vassals-stop-hook",
        "hook-as-emperor-*", "call-as-emperor", "call-as-emperor1",
        "call-as-emperor2", "call-as-emperor4", "hook-as-on-demand-vassal",
        "hook-as-on-config-vassal",
    ),
    _refused(PROGRAM, "a config is not executed; write the output to a file", "emperor-magic-exec"),
    _refused(PROGRAM, "a vassal has no proxy; remove it", "emperor-proxy-socket"),
    _refused(
        PROGRAM,
        "make it a vassal of its own, or a unit: command in [emperor] runs any program",
        "attach-daemon*", "attach-control-daemon", "smart-attach-daemon*", "mule", "mules", "farm",
        "spooler", "exec-*", "hook-*", "mount-*", "umount-*", "call-*", "touch-exec",
        "worker-exec*", "timer", "signal-timer", "rbtimer", "signal-rbtimer",
    ),
    _refused(PROGRAM, "make it a systemd timer", "cron", "cron2", "unique-cron", "*-cron"),
    _refused(PROGRAM, "make it a vassal of its own, which is in the legion", "legion*"),
    _refused(
        REQUESTS,
        "make the router a vassal of its own, with these lines in its config",
        "http", "httprouter", "https", "https2", "fastrouter", "rawrouter", "sslrouter",
        "sslrouter2", "forkptyrouter", "tuntap-router",
    ),
    _refused(
        REQUESTS,
        "make the application a vassal of its own",
        "module", "wsgi", "wsgi-file", "mount", "paste", "ini-paste*", "psgi",
        "rack", "rails", "php-app", "cgi", "pyargv", "static-map", "static-map2", "check-static",
        "file", "eval", "pyrun", "wsgi-lite", "pecan", "web3", "import", "*-import",
    ),
)
# fmt: on

_EXACT: Final = {name: row for row in ROWS for name in row.names if "*" not in name}
VARIABLES: Final = [name for row in ROWS if row.kind is Kind.VARIABLE for name in row.names]
_BEGINNINGS: Final = [(name[:-1], row) for row in ROWS for name in row.names if name.endswith("*")]
_ENDS: Final = [(name[1:], row) for row in ROWS for name in row.names if name.startswith("*")]


def find(name: str) -> Row | None:
    """The row of an option. A whole name comes before a beginning, and the longest of those."""
    if name in _EXACT:
        return _EXACT[name]
    begun = [(len(text), row) for text, row in _BEGINNINGS if name.startswith(text)]
    ended = [(0, row) for text, row in _ENDS if name.endswith(text)]
    return max([*begun, *ended], key=lambda found: found[0], default=(0, None))[1]


def known() -> list[str]:
    """The names, for suggestions."""
    return list(_EXACT)


def page() -> str:
    """The table, as docs/from-uwsgi.md has it."""
    lines = ["| uWSGI | here | |", "|---|---|---|"]
    for row in ROWS:
        names = ", ".join(f"`{name}`" for name in row.names)
        text = row.text
        if row.fate is Fate.TAKEN:
            text = row.text if row.kind in _IN_WORDS else f"`{row.text}`"
        rule = f" ({row.rule})" if row.rule else ""
        lines.append(f"| {names} | {row.fate.value}{rule} | {text} |")
    return "\n".join(lines)
