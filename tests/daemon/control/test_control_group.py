"""Members of --control-group may look and not touch; others may not even ask."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from emperord.daemon.control import access
from support.kept import Emperor
from support.root import need_root
from support.terminals import Terminal
from support.vassals import SLEEPER

GROUP, MEMBER, STRANGER = 61_500, 61_501, 61_502

ASKS = """
import json, os, socket, sys
path, uid, gid, groups, *requests = sys.argv[1:]
os.setgroups(json.loads(groups))
os.setgid(int(gid))
os.setuid(int(uid))
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(20)
    try:
        client.connect(path)
    except PermissionError:
        print(json.dumps("no permission"))
        sys.exit()
    for request in requests:
        client.sendall(request.encode() + b"\\n")
        print(client.makefile().readline(), end="")
"""


def asked(
    path: str, uid: int, gid: int, groups: list[int], *dos: str, names: list[str] | None = None
) -> list[Any]:
    """The answers to a user's requests, or that it may not connect."""
    whose = {"name": "a.ini"} if names is None else {"names": names}
    requests = [json.dumps({"do": do, **whose, "reason": "curious"}) for do in dos]
    argv = [sys.executable, "-c", ASKS, path, str(uid), str(gid), json.dumps(groups), *requests]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def shared(emperor: Emperor) -> Iterator[tuple[Emperor, str]]:
    """An emperor whose socket members of a group can reach."""
    need_root("be several users")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103
        path = f"{folder}/control"
        emperor.options += ["--control", path, "--control-group", str(GROUP)]
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        emperor.start()
        emperor.up("a.ini")
        yield emperor, path
        emperor.stop()


MANY = list(range(70_000, 71_000))  # more than socket.getsockopt has room for


@pytest.mark.parametrize(
    ("gid", "groups"),
    [(GROUP, []), (MEMBER, [7, GROUP]), (MEMBER, [*MANY, GROUP])],
    ids=["its group", "a supplementary one", "one of 1,001"],
)
def test_a_member_may_look_and_not_touch(
    shared: tuple[Emperor, str], gid: int, groups: list[int]
) -> None:
    emperor, path = shared
    dos = ("status", "list", "show", "stop", "explain", "upgrade", "status")
    answers = asked(path, MEMBER, gid, groups, *dos)
    assert [answer["ok"] for answer in answers] == [True, True, True, False, False, False, True]
    assert answers[3]["error"].startswith("members of the control group may only look (status, ")
    refused = emperor.events("request_refused")
    assert [(each.vassal, each.body["request"], each.body["uid"]) for each in refused] == [
        ("a.ini", "stop", MEMBER),
        ("a.ini", "explain", MEMBER),
        ("a.ini", "upgrade", MEMBER),
    ]
    assert refused[0].body["reason"] == "curious"
    assert emperor.events("operator_requested") == []


def test_a_refusal_is_of_the_one_vassal_that_is_named(shared: tuple[Emperor, str]) -> None:
    """emperor-ctl sends ``names``, also for a single one."""
    emperor, path = shared
    refused = [
        asked(path, MEMBER, GROUP, [], "restart", names=names)[0]
        for names in (["a.ini"], ["a.ini", "b.ini"])
    ]
    assert [answer["ok"] for answer in refused] == [False, False]
    assert [each.vassal for each in emperor.events("request_refused")] == ["a.ini", None]


def test_a_stranger_is_not_let_in_and_the_next_daemon_keeps_to_its_own_option(
    shared: tuple[Emperor, str],
) -> None:
    emperor, path = shared
    status = os.stat(path)
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, GROUP)
    assert asked(path, STRANGER, STRANGER, [], "status") == ["no permission"]
    assert asked(path, 0, 0, [], "stop")[0]["ok"] is True
    os.chmod(path, 0o666)  # noqa: S103
    (answer,) = asked(path, STRANGER, STRANGER, [], "status")
    assert "only the daemon's own user, root and members" in answer["error"]
    (answer,) = asked(path, STRANGER, STRANGER, MANY, "status")
    assert "only the daemon's own user, root and members" in answer["error"]
    emperor.restart()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660


def test_without_a_group_the_mode_decides_alone() -> None:
    client: Any = SimpleNamespace(uid=STRANGER)
    access.check(client, "stop", None)


def test_the_daemons_own_user_may_do_all() -> None:
    client: Any = SimpleNamespace(uid=os.geteuid())
    access.check(client, "stop", GROUP)


def test_a_group_that_there_is_not(emperor: Emperor) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emperord.daemon.main", "--control-group", "no-such-group", "."],
        capture_output=True, text=True, check=False, env=emperor.environ,
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no group no-such-group" in done.stderr


CTL = """
import os, sys
from emperord.daemon import ctl
from emperord.daemon.client import check, choosing, screen, top, top_rows, top_state, usage
import rich.cells, rich.color, rich.style
os.setgroups([int(sys.argv.pop(2))])
os.setgid(int(sys.argv.pop(1)))
os.setuid(os.getgid())
ctl.main()
"""


def of_member(path: str, *words: str) -> list[str]:
    """A command of emperor-ctl, as a member of the group has it."""
    return [sys.executable, "-c", CTL, str(MEMBER), str(GROUP), "--control", path, *words]


def test_a_member_has_a_live_screen(shared: tuple[Emperor, str]) -> None:
    """The list has all of it but CPU and memory, which are in files of /proc that all may read."""
    emperor, path = shared
    with Terminal(of_member(path, "top")) as screen:
        screen.until(r"a\.ini .*ready")
        screen.until(str(emperor.pid_of("a.ini")))
        screen.type("q")
        assert screen.end()[0] == 0


def test_a_member_is_told_by_whom_the_rest_may_be_asked(shared: tuple[Emperor, str]) -> None:
    _, path = shared

    def said(*words: str) -> tuple[int, str]:
        argv = of_member(path, *words)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert said("check")[0] == 0
    looks = "status, list, show, why, log, wait, rollout"
    refused = f"members of the control group may only look ({looks})"
    told = f"emperor-ctl: {refused}; ask as root or as the daemon's own user\n"
    assert said("restart", "a.ini") == (1, told)
