"""The settings of preflights, and texts that mean something else in another place."""

import pytest
from emperord.monitors import defaults, preflight, settings

FLAWS = {
    "no program": ("preflight = ''", "[emperor] preflight: '' names no program"),
    "no end of a quote": ("preflight = sh -c 'x", "[emperor] preflight: sh -c 'x cannot be split"),
    "no time": ("preflight = x\npreflight-timeout = 0s", "0s is no time for a preflight"),
    "too long": ("preflight = x\npreflight-timeout = 2h", "2h is no time for a preflight"),
    "alone": ("preflight-timeout = 2s", "[emperor] preflight-timeout: needs preflight as well"),
    "of uWSGI": ("command = x\npreflight = uwsgi", "[emperor] preflight: uwsgi checks configs"),
}


@pytest.mark.parametrize(("lines", "flaw"), FLAWS.values(), ids=FLAWS)
def test_flaws(lines: str, flaw: str) -> None:
    found, told = settings.read("a.ini", f"[emperor]\n{lines}\n".encode())
    assert found == {}
    assert told is not None
    assert flaw in told


def test_its_time() -> None:
    assert preflight.timeout({}) == 30
    assert preflight.timeout({"preflight-timeout": "1m"}) == 60


def test_the_check_of_uwsgi_is_no_default_of_programs() -> None:
    given = {"preflight": "uwsgi", "preflight-timeout": "5s"}
    assert defaults.merged({"command": "serve"}, given) == {"command": "serve"}
    assert defaults.merged({}, given) == given
    own = {"command": "serve", "preflight": "check"}
    assert defaults.merged(own, given) == {**own, "preflight-timeout": "5s"}


BOUND = {
    "its folder": ("chdir = %d", "%d"),
    "its path": ("pidfile = %p.pid", "%p"),
    "as it was given": ("procname = %o", "%o"),
    "a part of its folder": ("chdir = /srv/%0", "%0"),
    "a time with a day": ("log-date = %Y-%m-%d", "%d"),
    "an include": ("include = common.ini", "include"),
    "an include, indented": ("  ini=common.ini", "ini"),
    "a section of its own": ("ini = :prod", "ini"),
    "a loop": ("for-glob = *.py", "for-glob"),
    "a file as a value": ("env = X=@(secret)", "@(secret)"),
}


@pytest.mark.parametrize(("line", "part"), BOUND.values(), ids=BOUND)
def test_texts_that_are_bound_to_their_place(line: str, part: str) -> None:
    assert preflight.bound_by(f"[uwsgi]\n{line}\n".encode()) == part


FORMATS = {
    "YAML": b"uwsgi:\n  include: common.yml\n",
    "a list in YAML": b"uwsgi:\n  include:\n  - /etc/common.yml\n",
    "JSON": b'{"uwsgi": {"http": ":80",\n "include": "common.json"}}',
    "JSON in a line": b'{"uwsgi": {"http": ":80", "include": "common.json"}}',
    "XML": b"<uwsgi>\n<include>common.xml</include></uwsgi>",
    "XML in a line": b"<uwsgi><http>:80</http><include>common.xml</include></uwsgi>",
}


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
def test_includes_in_other_formats(text: bytes) -> None:
    assert preflight.bound_by(text) == "include"


FREE = {
    "its name": b"[uwsgi]\nsocket = /run/%n.sock\n",
    "an option": b"[uwsgi]\nx = 1\nprocesses = %(x)\n",
    "an absolute include": b"[uwsgi]\ninclude = /etc/common.ini\n",
    "another option": b"[uwsgi]\nforce-cwd = srv\nconfig-key = x\nforever = 1\n",
    "an absolute file": b"[uwsgi]\nenv = X=@(/run/secret)\n",
    "nothing": b"",
}


@pytest.mark.parametrize("text", FREE.values(), ids=FREE)
def test_texts_that_are_not(text: bytes) -> None:
    assert preflight.bound_by(text) == ""
