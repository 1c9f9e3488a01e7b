"""Runs the command line as far as its options, and tells what they are."""

import os
from typing import Any

import click
from click.testing import CliRunner, Result
from emperord.daemon import options

# option -> (text as given, value), none of them the default
VALUES: dict[str, tuple[str | None, Any]] = {
    "journal": ("/j/x.db", "/j/x.db"),
    "uwsgi": ("/u", "/u"),
    "freq": ("0.5", 0.5),
    "allow-link-local": (None, True),
    "allow-ports": ("80,500-600", ((80, 80), (500, 600))),
    "max-clock-step": ("10m", 600.0),
    "cgroup": ("/c", "/c"),
    "throttle": ("7", 7),
    "max-throttle": ("8", 8),
    "forgive": ("8.5", 8.5),
    "required-heartbeat": ("9.5", 9.5),
    "mercy": ("1.5", 1.5),
    "max-starting": ("11", 11),
    "start-patience": ("12", 12.0),
    "rollback": ("3", 3),
    "rollout": ("10%", "10%"),
    "rollout-failures": ("13", 13),
    "tyrant": (None, True),
    "tyrant-nofollow": (None, True),
    "tyrant-initgroups": (None, True),
    "nofollow": (None, True),
    "as-root": (None, True),
    "user": ("7:8", (7, 8)),
    "on-demand-extension": (".sock", ".sock"),
    "on-demand-directory": ("/d", "/d"),
    "on-demand-exec": ("/e -x", "/e -x"),
    "on-demand-mode": ("600", 0o600),
    "on-demand-owner": ("7:8", (7, 8)),
    "on-demand-backlog": ("9", 9),
    "name": ("/v=prod", ("/v=prod",)),
    "extra-extension": (".conf", (".conf",)),
    "vassal-defaults": ("/d.ini", ("/d.ini",)),
    "vassal-set": ("k=v", ("k=v",)),
    "vassals-inherit": ("f", ("f",)),
    "vassals-include": ("f", ("f",)),
    "vassals-inherit-before": ("f", ("f",)),
    "vassals-include-before": ("f", ("f",)),
    "wrapper": ("/w", "/w"),
    "graceful-shutdown": (None, True),
    "log": ("inherit", "inherit"),
    "restore": (None, True),
    "log-format": ("json", "json"),
    "log-directory": ("/l", "/l"),
    "log-size": ("4096", 4096),
    "log-keep": ("7", 7),
    "keep": ("90d", 90 * 24 * 3600.0),
    "journal-reserve": ("6M", 6 << 20),
    "record-budget": ("5M", 5 << 20),
    "control": ("/c", "/c"),
    "control-group": ("7", 7),
    "witness": ("/w", "/w"),
    "witness-every": ("500", (None, 500)),
    "witness-key": ("/k", "/k"),
    "start-hook": ("/h -x", ("/h -x",)),
    "stop-hook": ("/h -x", ("/h -x",)),
    "exec-as-vassal": ("h >x", ("h >x",)),
    "exec-as-emperor": ("h >x", ("h >x",)),
    "wrapper-override": ("/w", ("/w",)),
    "wrapper-fallback": ("/w", ("/w",)),
    "namespaces": ("fs,net", ("mount", "net")),
    "capability-bounding-set": ("CAP_KILL,bpf", ("kill", "bpf")),
    "pidfile": ("/p", ("/p",)),
    "log-file": ("/l", "/l"),
    "daemonize": ("/l", "/l"),
    "stats": ("127.0.0.1:1717", ("127.0.0.1:1717",)),
}


@click.command(cls=options.Command)
@options.options
def told(**chosen: Any) -> dict[str, Any]:
    return chosen


def tell(*arguments: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    """The values of all options."""
    result = run(*arguments, environ=environ)
    assert result.exit_code == 0, result.output
    chosen: dict[str, Any] = result.return_value
    return chosen


def run(*arguments: str, environ: dict[str, str] | None = None, standalone: bool = False) -> Result:
    clean: dict[str, str | None] = {k: None for k in os.environ if k.startswith("EMPEROR_")}
    runner = CliRunner(env={**clean, **(environ or {})})
    return runner.invoke(told, arguments, standalone_mode=standalone)
