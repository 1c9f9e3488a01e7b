"""The owners of the sockets that the keeper holds, and their names there."""

import os
import socket

import msgspec
import pytest
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.host import held_sockets, unjournaled
from emperord.daemon.host.host import Host
from emperord.daemon.host.recovery import Survivor
from emperord.daemon.keeper.link import KeeperLink, Kept
from emperord.journal.events import Spec
from emperord.journal.policy import Policy

A = {"pid": 50, "start": 5, "mark": "8.1.a.ini"}
B = {"pid": 60, "start": 6, "mark": "9.1.b.ini"}
OTHER = {"pid": 70, "start": 7, "mark": "8.2.a.ini"}
LATER = {"pid": 50, "start": 9, "mark": "8.1.a.ini"}  # it has the pid of one that died


def survivor(name: str, attempt: int, pid: int, start: int, mark: str) -> Survivor:
    vassal = Vassal(
        name=name,
        monitor="m",
        spec=Spec(ts=1),
        phase="ready",
        since=1,
        because=1,
        attempt=attempt,
        running=Spec(ts=1),
    )
    return Survivor(vassal, pid, start, mark)


SURVIVORS = [survivor("a.ini", 8, 50, 5, "8.1.a.ini"), survivor("b.ini", 9, 60, 6, "9.1.b.ini")]


def arranged(*held: tuple[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    link = KeeperLink(None)
    link.kept = {name: Kept(about, []) for name, about in held}
    held_sockets.arrange(link, SURVIVORS)
    return {name: kept.about for name, kept in link.kept.items()}


@pytest.mark.parametrize(
    ("held", "then"),
    [
        pytest.param([("8:a.ini", A), ("9:b.ini", B)], {"8:a.ini": A, "9:b.ini": B}, id="its own"),
        pytest.param([("64:a.ini", A)], {"8:a.ini": A}, id="another number"),
        pytest.param([("left:64:a.ini", A)], {"8:a.ini": A}, id="set aside before"),
        pytest.param([("8:a.ini", OTHER)], {"left:8:a.ini": OTHER}, id="another's"),
        pytest.param([("8:a.ini", LATER)], {"left:8:a.ini": LATER}, id="its pid again"),
        pytest.param(
            [("8:a.ini", OTHER), ("64:a.ini", A)],
            {"8:a.ini": A, "left:8:a.ini": OTHER},
            id="another's first",
        ),
        pytest.param(
            [("64:a.ini", A), ("8:a.ini", OTHER)],
            {"8:a.ini": A, "left:8:a.ini": OTHER},
            id="another's second",
        ),
        pytest.param(
            [("left:8:a.ini", OTHER), ("8:a.ini", LATER)],
            {"left:8:a.ini": OTHER, "left:left:8:a.ini": LATER},
            id="two others",
        ),
        pytest.param([("9:b.ini", A), ("8:a.ini", B)], {"8:a.ini": A, "9:b.ini": B}, id="swapped"),
        pytest.param(
            [("64:a.ini", A), ("8:a.ini", A)],
            {"8:a.ini": A, "64:a.ini": A},
            id="a rename that was cut short",
        ),
        pytest.param(
            [("64:a.ini", {"mark": "8.1.a.ini"})],
            {"8:a.ini": {"mark": "8.1.a.ini"}},
            id="amid its start",
        ),
        pytest.param(
            [("8:a.ini", {"mark": "8.2.a.ini"})],
            {"left:8:a.ini": {"mark": "8.2.a.ini"}},
            id="amid another's start",
        ),
        pytest.param(
            [("8:a.ini", {}), ("64:a.ini", {})], {"8:a.ini": {}, "64:a.ini": {}}, id="old"
        ),
        pytest.param([("64:a.ini", OTHER)], {"64:a.ini": OTHER}, id="of no survivor"),
        pytest.param(
            [("process:64:a.ini", A), ("left:process:65:b.ini", B)],
            {"process:8:a.ini": A, "process:9:b.ini": B},
            id="without sockets",
        ),
        pytest.param(
            [("process:8:a.ini", OTHER), ("8:a.ini", A)],
            {"8:a.ini": A, "left:process:8:a.ini": OTHER},
            id="another's without sockets",
        ),
        pytest.param(
            [("control", {}), ("listener:a.ini", {}), ("left:listener:b.ini", {})],
            {"control": {}, "listener:a.ini": {}, "left:listener:b.ini": {}},
            id="no attempt's",
        ),
    ],
)
def test_a_survivor_gets_what_is_its_process(
    held: list[tuple[str, dict[str, object]]], then: dict[str, dict[str, object]]
) -> None:
    assert arranged(*held) == then


def test_a_leftover_keeps_its_sockets_when_an_attempt_gets_its_number() -> None:
    link = KeeperLink(None)
    link.kept = {"64:a.ini": Kept(OTHER, []), "left:64:a.ini": Kept(LATER, [])}
    one = unjournaled.UnjournaledProcess(
        name="a.ini", pid=70, start=7, mark="8.2.a.ini", kept="64:a.ini"
    )
    two = msgspec.structs.replace(one, pid=50, start=9, kept="left:64:a.ini")
    bare = msgspec.structs.replace(one, pid=80, kept=None)
    held_sockets.set_aside(link, [one, two, bare])
    assert [each.kept for each in (one, two, bare)] == ["left:left:64:a.ini", "left:64:a.ini", None]
    assert {name: kept.about for name, kept in link.kept.items()} == {
        "left:left:64:a.ini": OTHER,
        "left:64:a.ini": LATER,
    }


async def test_what_was_set_aside_for_the_dead_is_let_go() -> None:
    link = KeeperLink(None)
    names = ("left:64:a.ini", "left:listener:a.ini", "64:b.ini")
    ends = {name: socket.socket().detach() for name in names}
    link.kept = {name: Kept({}, [end]) for name, end in ends.items()}
    Host(Policy, None, lambda digest: None, keeper=link).adopter.forget_kept()
    assert (list(link.entrusted), link.kept) == (["left:listener:a.ini"], {})
    for name in names:
        if name not in link.entrusted:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(ends[name])
    os.close(ends["left:listener:a.ini"])
