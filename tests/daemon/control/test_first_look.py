"""A wait for all vassals, or for those of a pattern, before the daemon has read its sources."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from support.vassals import DEAF, SLEEPER

from ..conftest import MakeEmperor
from .test_orders import talking
from .test_waiting import Asking, said


@pytest.fixture
def mute() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"pg://host=127.0.0.1 port={server.getsockname()[1]} dbname=x;select 1"


@pytest.mark.parametrize("meant", [{"all": True}, {"names": ["a*"]}], ids=["all", "a pattern"])
def test_a_wait_goes_on_until_each_source_was_read(
    make_emperor: MakeEmperor, meant: dict[str, Any]
) -> None:
    emperor = make_emperor(keeper=False)
    late, made = emperor.folder / "late", emperor.folder / "made"
    made.mkdir()
    (made / "ab.ini").write_text(SLEEPER)
    emperor.options.append(f"dir://{late}")
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    with talking(emperor, do="wait", timeout=60, **{"for": "up"}, **meant) as answers:
        # This one names its vassal, so it needs no other source.
        assert said(emperor.ctl("wait", "a.ini")) == (0, "a.ini: now ready\n", "")
        made.rename(late)
        assert json.loads(answers.readline())["total"] == 2
        assert {json.loads(answers.readline())["name"] for _ in range(2)} == {"a.ini", "ab.ini"}
        assert json.loads(answers.readline())["ok"] is True
    emperor.stop()


def test_a_wait_that_ends_before_says_which_source_was_not_read(
    make_emperor: MakeEmperor, mute: str
) -> None:
    emperor = make_emperor(keeper=False)
    gone = emperor.folder / "gone"
    emperor.options += [f"dir://{gone}", mute]
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    code, out, error = said(emperor.ctl("wait", "--all", "--timeout", "300ms"))
    assert (code, out) == (1, "")
    first, second = error.rstrip("\n").split("; ")
    begin = "emperor-ctl: the daemon does not know all vassals yet: "
    assert first.startswith(f"{begin}dir://{gone} cannot be read (")
    assert second.startswith("pg://")
    assert second.endswith(" has not answered, after 0.3 s")
    emperor.stop()


def test_a_wait_for_the_first_look_ends_with_the_daemon(
    make_emperor: MakeEmperor, mute: str
) -> None:
    emperor = make_emperor("--mercy", "300", keeper=False)
    emperor.options.append(mute)
    (emperor.vassals / "a.ini").write_text(DEAF)
    emperor.start()
    emperor.up("a.ini")
    client = Asking(emperor, "wait", "--all")
    emperor.send(signal.SIGTERM)
    code, out, error = client.said()
    reason = "emperor-ctl: the daemon does not know all vassals yet: the daemon stops\n"
    assert (code, out, error) == (1, "", reason)
    os.kill(emperor.pid_of("a.ini"), signal.SIGKILL)
    emperor.stop()


def test_after_the_first_look_an_outage_holds_up_no_wait(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor(keeper=False)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    away = emperor.vassals.with_name("away")
    emperor.vassals.rename(away)
    emperor.event("monitor_failed")
    assert said(emperor.ctl("wait", "--all")) == (0, "a.ini: now ready\n", "")
    away.rename(emperor.vassals)
    emperor.stop()
