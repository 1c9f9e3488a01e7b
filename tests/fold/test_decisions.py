"""Two decisions stand outside the table, and each cell of them agrees with the table's.

The control socket answers some requests without an event, and the host drops some bytes. Both save
events that would change nothing. So an event is recorded exactly if the fold has a use for it.
"""

from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
from emperord.daemon.control.caller import Caller
from emperord.daemon.control.requests import RequestHandler
from emperord.daemon.control.server import Refused
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import PHASES, Phase
from emperord.daemon.core.fold import TABLE
from emperord.daemon.core.operator_moves import hold_on, reload_new
from emperord.daemon.core.preflight_moves import check_again
from emperord.daemon.core.reloads import way_to_reload
from emperord.daemon.core.steps import ignore
from emperord.daemon.core.target import may_check_again
from emperord.daemon.host import emperor_protocol

from .script import Script, play
from .situations import SITUATIONS, WITH_SECOND, Trigger, try_trigger

NAME: Final = "foo.ini"
REQUESTS: Final = ("start", "stop", "restart", "reload", "retry")
# A request for a state that the vassal has is no error.
REPEATABLE: Final = ("start", "stop", "restart")
BYTES: Final = {
    emperor_protocol.READY: "vassal_ready",
    emperor_protocol.ACCEPTING: "vassal_accepting",
    emperor_protocol.LOYAL: "vassal_loyal",
    emperor_protocol.RESIGNS: "vassal_resigned",
    emperor_protocol.HEARTBEAT: "heartbeat_started",
}
# Phases in which a vassal may have a process, and so a socket to send bytes on.
WITH_PROCESS: Final = ("starting", "ready", "accepting", "reloading", "stopping")
CASES: Final = [(phase, text) for phase in PHASES for text in SITUATIONS[phase]]


async def answer(script: Script, request: str) -> str:
    """Whether the control socket records a request, finds it done, or refuses it."""
    recorded: list[Draft] = []

    async def record(draft: Draft) -> None:
        recorded.append(draft)

    recovered = trio.Event()
    recovered.set()
    daemon: Any = SimpleNamespace(
        fleet=script.fleet, paused=None, record=record, recovers=False, can_answer=recovered
    )
    client: Any = SimpleNamespace(uid=0, caller=lambda: Caller(0))
    asks = RequestHandler(daemon, lambda: None, lambda: None, lambda _: {})  # type: ignore[arg-type, return-value]
    try:
        await asks({"do": request, "name": NAME}, client)
    except Refused:
        return "refused"
    return "recorded" if recorded else "done"


@pytest.mark.parametrize(("phase", "text"), [*CASES, *WITH_SECOND.items()])
@pytest.mark.parametrize("request_", REQUESTS)
async def test_a_request_is_recorded_exactly_where_the_table_has_a_move(
    request_: str, phase: Phase, text: str
) -> None:
    script = play(text)
    vassal = script.fleet.vassals[NAME]
    cell = TABLE[request_][phase]
    tried = vassal.candidate is not None and vassal.candidate.is_tried
    without = cell is check_again and not may_check_again(vassal)
    without = without or (cell is reload_new and not tried)
    without = without or (cell is hold_on and not vassal.listens)
    if cell is ignore or without:
        is_held = request_ == "restart" and vassal.held
        expected = "done" if request_ in REPEATABLE and not is_held else "refused"
    elif request_ == "reload" and way_to_reload(vassal) == "none":
        expected = "refused"
    else:
        expected = "recorded"
    assert await answer(script, request_) == expected


@pytest.mark.parametrize(
    ("phase", "text"), [(phase, text) for phase, text in CASES if phase in WITH_PROCESS]
)
@pytest.mark.parametrize("byte", BYTES, ids=BYTES.get)
def test_a_byte_is_an_event_exactly_where_the_fold_changes_something(
    byte: int, phase: Phase, text: str
) -> None:
    script = play(text)
    kind = emperor_protocol.news(script.fleet.vassals[NAME], byte)
    assert kind in (None, BYTES[byte])
    changed = try_trigger(phase, script, Trigger(BYTES[byte], "")).changed
    assert (kind is not None) == changed


@pytest.mark.parametrize("phase", PHASES)
def test_no_other_byte_is_an_event(phase: Phase) -> None:
    vassals = [play(text).fleet.vassals[NAME] for text in SITUATIONS[phase]]
    others = set(range(256)) - BYTES.keys()
    assert {emperor_protocol.news(each, byte) for each in vassals for byte in others} == {None}
