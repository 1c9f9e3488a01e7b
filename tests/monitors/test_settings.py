"""The [emperor] section in every format, and what is wrong with it."""

import signal
import subprocess
import sys
import time

import pytest
from emperord.monitors import settings

GUNICORN = {"command": "gunicorn -w 4 app", "reload-signal": "HUP", "stop-signal": "15"}
COMMAND = {"command": "run"}

FOUND = {
    "ini": (
        "a.ini",
        "[emperor]\ncommand = gunicorn -w 4 app\nreload-signal=HUP\nstop-signal = 15\n",
        GUNICORN,
    ),
    "ini, CRLF and spaces": ("a.ini", " [emperor] \r\n\tcommand\t=  run  \r\n", COMMAND),
    "ini, comments": ("a.ini", "[emperor]\n; x=1\n# y\n\n  #z=2\ncommand = run", COMMAND),
    "ini, an equals sign in it": (
        "a.ini",
        "[emperor]\ncommand = env A=1 b",
        {"command": "env A=1 b"},
    ),
    "ini, another section ends it": ("a.ini", "[emperor]\ncommand=run\n[uwsgi]\nbad", COMMAND),
    "ini, the last one counts": (
        "a.ini",
        "[emperor]\ncommand=x\n[y]\n[emperor]\ncommand=run",
        COMMAND,
    ),
    "ini, quotes": ("a.ini", '[emperor]\ncommand = "a b" c', {"command": '"a b" c'}),
    "ini, what configparser refuses": ("a.ini", "x\n= y\n[a\n[]\n[emperor]\ncommand=run", COMMAND),
    "ini, bytes that are not UTF-8 elsewhere": (
        "a.ini",
        "x=\udcff\n[emperor]\ncommand=run",
        COMMAND,
    ),
    "ini, uWSGI's option": ("a.ini", "[uwsgi]\nemperor = /etc/vassals", {}),
    "ini, empty": ("a.ini", "[emperor]\n", {}),
    "yml": (
        "a.yml",
        "emperor:\n  command: gunicorn -w 4 app\n  reload-signal: HUP\n  stop-signal: 15\n",
        GUNICORN,
    ),
    "yaml, a list of words": (
        "a.yaml",
        "emperor: {command: [run, a b, 3]}",
        {"command": "run 'a b' 3"},
    ),
    "yaml, folded": (
        "a.yaml",
        "emperor:\n  command: >\n    run\n    fast\n",
        {"command": "run fast"},
    ),
    "yaml, empty": ("a.yaml", "emperor:\n", {}),
    "yaml, uWSGI's option": ("a.yaml", "uwsgi:\n  emperor: /etc/vassals\n", {}),
    "yaml, null": ("a.yaml", "emperor: ~\n", {}),
    "yaml, a name for two": ("a.yaml", "x: &x {command: run}\nemperor: *x", COMMAND),
    "yaml, a list": ("a.yaml", "- emperor\n", {}),
    "ini, how it is reloaded and restarted": (
        "a.ini",
        "[emperor]\nreload = restart\nrestart = on-failure\nsuccess-exit-codes = 0, 3 255\n",
        {"reload": "restart", "restart": "on-failure", "success-exit-codes": "0, 3 255"},
    ),
    "yaml, a no that is no boolean": ("a.yaml", "emperor: {restart: no}", {"restart": "no"}),
    "json, a list of codes": (
        "a.json",
        '{"emperor": {"success-exit-codes": [0, 3]}}',
        {"success-exit-codes": "0 3"},
    ),
    "json": ("a.json", '{"uwsgi": {}, "emperor": {"command": "run"}}', COMMAND),
    "js": (
        "a.js",
        '{"emperor": {"command": "run", "stop-signal": 9}}',
        COMMAND | {"stop-signal": "9"},
    ),
    "json, null": ("a.json", '{"emperor": null}', {}),
    "xml": ("a.xml", "<emperor><command>run</command></emperor>", COMMAND),
    "xml, beside uwsgi": (
        "a.xml",
        "<x><uwsgi/><emperor><!-- x --><command> run </command></emperor></x>",
        COMMAND,
    ),
    "xml, uWSGI's option": ("a.xml", "<uwsgi><emperor>/etc/vassals</emperor></uwsgi>", {}),
    "xml, an unknown encoding": ("a.xml", '<?xml version="1.0" encoding="emperor"?><a/>', {}),
    "limits": (
        "a.yml",
        "emperor: {nofile: 1024, nproc: 64, as: 512M}",
        {"nofile": "1024", "nproc": "64", "as": "512M"},
    ),
    "a size in full": ("a.ini", "[emperor]\nas = 1.5GiB", {"as": "1.5GiB"}),
    "another extension": ("a.conf", "[emperor]\ncommand=run", {}),
    "no extension": ("a", "[emperor]\ncommand=run", {}),
    "nothing of ours": ("a.ini", "[uwsgi]\nsocket=:80", {}),
}

THERE_ARE = (
    "no such setting, there are command, reload, restart, canary, success-exit-codes,"
    " reload-signal, stop-signal, nofile, nproc, as, directory, environment, environment-file,"
    " umask,"
    " stop-timeout, user, group, memory-max, cpu-weight, tasks-max, ready,"
    " ready-timeout, listen, listen-mode, listen-owner, listen-backlog, preflight,"
    " preflight-timeout,"
    " health, health-interval, health-timeout, health-failures, health-action, rollback,"
    " replace-settle"
)
NO_LIMIT = "is no such limit; write a whole number"
NO_SIZE = "is no such limit; write 64K, 10M or 1GiB"
NOT_TEXT = "has a control character or is not UTF-8"

FLAWS = {
    "unknown key": ("a.ini", "[emperor]\ncomand=x", "comand: " + THERE_ARE),
    "no such signal": (
        "a.ini",
        "[emperor]\nreload-signal = FOO",
        "reload-signal: no signal is called FOO",
    ),
    "no number": ("a.ini", "[emperor]\nnofile = many", f"nofile: many {NO_LIMIT}"),
    "zero": ("a.ini", "[emperor]\nnproc = 0", f"nproc: 0 {NO_LIMIT}"),
    "a unit of what has none": ("a.ini", "[emperor]\nnofile = 1K", f"nofile: 1K {NO_LIMIT}"),
    "an unknown unit": ("a.ini", "[emperor]\nas = 1X", f"as: 1X {NO_SIZE}"),
    "an endless limit": ("a.ini", f"[emperor]\nas = {'9' * 20}", f"as: {'9' * 20} {NO_SIZE}"),
    "more than there is": (
        "a.ini",
        f"[emperor]\nas = {'9' * 15}T",
        f"as: {'9' * 15}T {NO_SIZE}",
    ),
    "another's digits": ("a.ini", "[emperor]\nas = ٣", f"as: ٣ {NO_SIZE}"),
    "no such way to reload": (
        "a.ini",
        "[emperor]\nreload = maybe",
        "reload: maybe is none of auto, signal, restart, replace, none",
    ),
    "no such time to settle": (
        "a.ini",
        "[emperor]\nreload = replace\nreplace-settle = 2h",
        "replace-settle: 2h is no time to settle; write 500ms, 3s, 2m, 1h or 7d, at most an hour",
    ),
    "settling without a replacement": (
        "a.ini",
        "[emperor]\nreplace-settle = 2s",
        "replace-settle: needs reload = replace as well",
    ),
    "no such time to restart": (
        "a.ini",
        "[emperor]\nrestart = never",
        "restart: never is none of always, on-failure, no",
    ),
    "no exit code": (
        "a.ini",
        "[emperor]\nsuccess-exit-codes = 0 256",
        "success-exit-codes: 256 is no exit code; write numbers from 0 to 255",
    ),
    "a signal among exit codes": (
        "a.ini",
        "[emperor]\nsuccess-exit-codes = TERM",
        "success-exit-codes: TERM is no exit code; write numbers from 0 to 255",
    ),
    "signal 0": ("a.ini", "[emperor]\nstop-signal = 0", "stop-signal: no signal is called 0"),
    "signal 999": ("a.ini", "[emperor]\nstop-signal = 999", "stop-signal: no signal is called 999"),
    "an endless number": (
        "a.ini",
        f"[emperor]\nstop-signal = {'9' * 9999}",
        "stop-signal: has 9999 characters, 4096 are allowed",
    ),
    "a hostile value": ("a.ini", "[emperor]\nstop-signal = \x1b[2J", "stop-signal: " + NOT_TEXT),
    "a hostile key": ("a.ini", "[emperor]\n\x1b\udcff = 1", "\\x1b\\xff: " + THERE_ARE),
    "no value": ("a.ini", "[emperor]\ncommand =", "command: has no value"),
    "no equals sign": ("a.ini", "[emperor]\ncommand", "command: has no value"),
    "an open quote": (
        "a.ini",
        "[emperor]\ncommand = 'x",
        "command: cannot be split into words: No closing quotation",
    ),
    "an empty program": ("a.ini", "[emperor]\ncommand = '' x", "command: names no program"),
    "not UTF-8": ("a.ini", "[emperor]\ncommand = \udcff", "command: " + NOT_TEXT),
    "a NUL": ("a.ini", "[emperor]\ncommand = a\0b", "command: " + NOT_TEXT),
    "two lines": ("a.yml", "emperor:\n  command: |\n    a\n    b\n", "command: " + NOT_TEXT),
    "a mapping": ("a.yml", "emperor: {command: {a: b}}", "command: must be text"),
    "a truth": ("a.yml", "emperor: {stop-signal: on}", "stop-signal: no signal is called on"),
    "a number that takes minutes": (
        "a.yml",
        f"emperor: {{stop-signal: 1{':1' * 60_000}}}",
        "stop-signal: has 120001 characters, 4096 are allowed",
    ),
    "a number of 5,000 digits": (
        "a.yml",
        f"emperor: {{nofile: 0x{'f' * 5000}}}",
        "nofile: has 5002 characters, 4096 are allowed",
    ),
    "no such truth": ("a.yml", "emperor: {nofile: !!bool x}", f"nofile: x {NO_LIMIT}"),
    "no such number": ("a.yml", "emperor: {nofile: !!int ''}", "nofile: has no value"),
    "no such time": ("a.yml", "emperor: {nofile: !!timestamp x}", f"nofile: x {NO_LIMIT}"),
    "an object of Python": (
        "a.yml",
        "emperor: !!python/object/apply:os.getcwd []",
        "must be a mapping of settings",
    ),
    "null": ("a.json", '{"emperor": {"command": null}}', "command: has no value"),
    "an empty list": ("a.json", '{"emperor": {"command": []}}', "command: has no value"),
    "not a mapping": ("a.json", '{"emperor": "/etc/vassals"}', "must be a mapping of settings"),
    "a number for a key": ("a.yml", "emperor: {1: 2}", "1: " + THERE_ARE),
    "xml": (
        "a.xml",
        "<emperor><stop-signal>x</stop-signal></emperor>",
        "stop-signal: no signal is called x",
    ),
}


@pytest.mark.parametrize(("name", "text", "expected"), FOUND.values(), ids=FOUND)
def test_found(name: str, text: str, expected: dict[str, str]) -> None:
    assert settings.read(name, text.encode("utf-8", "surrogateescape")) == (expected, None)


@pytest.mark.parametrize(("name", "text", "flaw"), FLAWS.values(), ids=FLAWS)
def test_flaws(name: str, text: str, flaw: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    assert settings.read(name, content) == ({}, f"[emperor] {flaw}")


SIGNALS = {
    "HUP": signal.SIGHUP,
    "SIGHUP": signal.SIGHUP,
    "sigusr1": signal.SIGUSR1,
    "term": signal.SIGTERM,
    "1": 1,
    "64": 64,
    "RTMIN": signal.SIGRTMIN,
    "": None,
    "SIG": None,
    "SIGFOO": None,
    "0": None,
    "65": None,
    "-1": None,
    "1.0": None,
    "²": None,
}


@pytest.mark.parametrize(("text", "number"), SIGNALS.items(), ids=repr)
def test_signal_number(text: str, number: int | None) -> None:
    assert settings.signal_number(text) == number


MEGABYTE = 1 << 20
LONG = {
    "ini, a command": ("a.ini", "[emperor]\ncommand = " + "a" * MEGABYTE, "32768 are allowed"),
    "ini, exit codes": (
        "a.ini",
        "[emperor]\nsuccess-exit-codes = " + "1 " * (MEGABYTE // 2),
        "4096 are allowed",
    ),
    "ini, settings": ("a.ini", "[emperor]\n" + "nofile = 1\n" * 90_000, "more than 1000"),
    "ini, a name": ("a.ini", "[emperor]\n" + "a" * MEGABYTE + " = 1", "no such setting"),
    "yaml, flow": ("a.yaml", "{emperor: {" + "a: b, " * 170_000 + "}}", "131072 are allowed"),
    "yaml, other keys": (
        "a.yml",
        "emperor:\n  command: x\nz:\n" + "- a\n" * 250_000,
        "131072 are allowed",
    ),
    "json, a word": (
        "a.json",
        '{"emperor": {"command": "%s"}}' % ("a" * MEGABYTE),
        "32768 are allowed",
    ),
    "json, words": (
        "a.json",
        '{"emperor": {"command": ["a"%s]}}' % (', "a"' * 200_000),
        "32768 are allowed",
    ),
    "json, digits": ("a.json", '{"emperor": {"nofile": %s}}' % ("9" * MEGABYTE), "cannot be read"),
    "yaml, a section in what is none": (
        "a.yaml",
        "emperor: [" + "[a: b]," * 18_000 + "]\nz: %d\n",
        "32768 are allowed",
    ),
    "yaml, blanks in what is none": ("a.yaml", "{" + " " * 130_000 + "emperor:", "cannot be read"),
    "yaml, many documents": ("a.yaml", "---\n" * 32_000 + "a: emperor", ""),
    "yaml, many signs in what is none": ("a.yaml", "{emperor:" * 14_000, "cannot be read"),
    "ini, brackets": ("a.ini", "[" * MEGABYTE + "\n[Emperor]", "not the name"),
    "ini, blanks": ("a.ini", "[" + "[ " * (MEGABYTE // 2) + "\n[Emperor]", "not the name"),
    "json, blanks in what is none": (
        "a.json",
        '{"emperor' + " " * MEGABYTE + '": {',
        "cannot be read",
    ),
    "json, a string that stays open": ("a.json", '"emperor' + '\\"' * (MEGABYTE // 2), ""),
    "json, comments that stay open": ("a.json", '"emperor"' + "/*" * (MEGABYTE // 2), ""),
    "xml, comments that stay open": ("a.xml", "<emperor>" + "<!--" * (MEGABYTE // 4), ""),
    "xml, texts that stay open": ("a.xml", "<emperor>" + "<![CDATA[<?" * 90_000, ""),
    "xml, blanks in what is none": (
        "a.xml",
        "<emperor " + " " * MEGABYTE + "<emperor><a>",
        "cannot be read",
    ),
    "xml, a command": (
        "a.xml",
        f"<uwsgi><emperor><command>{'a' * MEGABYTE}</command></emperor></uwsgi>",
        "32768 are allowed",
    ),
}


@pytest.mark.parametrize(("name", "text", "flaw"), LONG.values(), ids=LONG)
def test_a_long_text_is_not_parsed(name: str, text: str, flaw: str) -> None:
    """One file of a tenant's must not keep the changes of all others waiting."""
    before = time.process_time()
    found, said = settings.read(name, text.encode())
    assert time.process_time() - before < 0.5
    assert found == {}
    assert flaw in (said or "")


def test_a_long_command_is_allowed_up_to_its_limit() -> None:
    command = "run " + "a" * (settings.LONGEST_COMMAND - 4)
    text = f"[emperor]\ncommand = {command}"
    assert settings.read("a.ini", text.encode()) == ({"command": command}, None)
    assert settings.read("a.yaml", b"# emperor\n" + b"a: 1\n" * 100_000) == ({}, None)


def test_parsers_are_not_imported_before_they_are_needed() -> None:
    code = (
        "import sys, emperord.monitors.files.pattern, emperord.monitors.files.directory as d\n"
        "from emperord.monitors import settings, registry\n"
        "settings.read('a.ini', b'[emperor]\\ncommand=x')\n"
        "settings.read('a.yml', b'uwsgi:')\n"
        "print([name for name in ('yaml', 'xml', 'configparser') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
