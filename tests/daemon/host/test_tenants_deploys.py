"""Rollouts and rollbacks in tyrant mode, and of vassals on demand, with real users and clients."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.clients import listened_at
from support.kept import Emperor
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon, status_of
from support.vassals import program, shell

from ..conftest import MakeEmperor

USERS = ((ALICE, ALICES), (BOB, BOBS))
NAMES = [f"a{number}.ini" for number in range(4)]
MakeTyrant = Callable[..., TyrantDaemon]


def ctl(daemon: TyrantDaemon, *words: str) -> Any:
    """Run ``emperor-ctl`` as root."""
    emperor = Emperor.__new__(Emperor)
    emperor.__dict__ = daemon.__dict__
    return emperor.ctl(*words)


def test_users_keep_their_configs_and_go_back_to_them(make_tyrant: MakeTyrant) -> None:
    """Those that fail go back by themselves, and the others are held back, each as its user."""
    tyrant = make_tyrant("--rollout", "2", "--rollback", "1", "--freq", "60")

    def put(text: str) -> None:
        for number, name in enumerate(NAMES):
            uid, gid = USERS[number % 2]
            tyrant.put(name, text, uid, gid)

    put(shell("echo good; exec sleep 1000", ready="100ms"))
    tyrant.start()
    for name in NAMES:
        tyrant.phase(name, "accepting")
    put(shell("echo bad; exit 3", ready="5s"))
    tyrant.event("vassal_changed", count=len(NAMES))
    (rollout,) = json.loads(ctl(tyrant, "rollout", "--json").stdout)["rollouts"]
    assert (set(rollout["failed"].values()), rollout["state"]) == ({"exit code 3"}, "held")
    assert len(rollout["waiting"]) == len(NAMES) - len(rollout["failed"]) >= 2
    fleet = {name: tyrant.phase(name, "accepting") for name in NAMES}
    for name, vassal in fleet.items():
        fails = name in rollout["failed"]
        assert (vassal.refused is not None and vassal.refused.rolled_back) == fails
        assert tyrant.vassal_log(name).split() == (["good", "bad", "good"] if fails else ["good"])
        assert vassal.pid is not None
        uid = USERS[NAMES.index(name) % 2][0]
        assert status_of(vassal.pid)["Uid"] == [str(uid)] * 4
    # The vassal is another user's now: its former config is not for that one.
    moved = rollout["waiting"][0]
    mover = USERS[1 - NAMES.index(moved) % 2]
    seq = tyrant.last_seq()
    tyrant.put(moved, shell("exec sleep 1000", ready="100ms"), *mover)
    tyrant.event("vassal_accepting", moved, after=seq)
    told = ctl(tyrant, "rollback", moved)
    assert told.returncode == 1
    assert f"and the vassal is now of uid {mover[0]} gid {mover[1]}" in told.stderr
    tyrant.stop()


SERVER = """
import os, socket, sys
if sys.argv[1] == "bad":
    sys.exit(3)
listener = socket.socket(fileno=os.dup(0))
while True:
    client, _ = listener.accept()
    client.sendall(sys.argv[1].encode())
    client.close()
"""


def test_a_client_on_demand_waits_until_it_has_gone_back(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """The change is carried out when it listens. Its first client meets the bad config."""
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    emperor = make_emperor(
        "--on-demand-directory", str(sockets), "--rollback", "2", "--rollout", "1"
    )
    server = tmp_path / "server.py"
    server.write_text(SERVER)

    def answer() -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(sockets / "a.socket"))
            return client.recv(100).decode()

    def put(says: str) -> None:
        text = program(sys.executable, "-IS", str(server), says, ready="100ms")
        emperor.put("a.ini", text)

    put("good")
    emperor.start()
    emperor.until(lambda: listened_at(f"{sockets}/a.socket"), "it listens")
    assert answer() == "good"
    emperor.phase("a.ini", "accepting")
    put("bad")
    emperor.phase("a.ini", "listening")
    assert emperor.ctl("rollout").returncode == 0
    assert answer() == "good"
    vassal = emperor.phase("a.ini", "accepting")
    assert vassal.refused is not None
    assert vassal.refused.rolled_back
    assert len(emperor.events("exited", "a.ini")) == 3
    emperor.stop()
