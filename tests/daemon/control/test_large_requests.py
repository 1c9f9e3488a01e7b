"""Half a megabyte in one request: the event loop cuts it before it escapes, searches or matches it.

A member of ``--control-group`` may send such requests. Each took the loop from 0.1 s to seconds.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio
from emperord.daemon.cli import escapes
from emperord.daemon.control.archives import Archives
from emperord.daemon.control.caller import Caller
from emperord.daemon.control.choosing import choose, names_others, not_one, unknown
from emperord.daemon.control.log_paths import log
from emperord.daemon.control.orders import Orders
from emperord.daemon.control.refusals import Refusals, reason_of
from emperord.daemon.control.requests import RequestHandler
from emperord.daemon.control.rollbacks import Rollbacks
from emperord.daemon.control.server import Refused
from emperord.daemon.control.told import told
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.host.vassal_log import log_name
from fold.script import play

HOSTILE = "\x7f" * 500_000  # each has a byte in a request, and is escaped
PATTERN = "*a" * 125_000 + "b"
CHEAP = 0.1  # seconds of a processor; what is cut first takes a hundredth of that
NAMES = ["a.ini", "a" * 200 + ".ini"]


class Daemon:
    """A daemon that keeps what is to be recorded."""

    paused = None

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.drafts: list[Draft] = []
        self.can_answer = trio.Event()
        self.can_answer.set()

    recovers = False

    def now(self) -> int:
        return self.fleet.at

    def log_of(self, vassal: str) -> str | None:
        return log_name(vassal)

    async def record(self, *drafts: Draft) -> None:
        self.drafts += drafts


class Client:
    """A client of the same user as the daemon."""

    uid = 0

    def caller(self) -> Caller:
        return Caller(0, 1)

    async def tell(self, *answers: dict[str, Any]) -> None:
        pass


CLIENT: Any = Client()
NO_JOURNAL: Any = None


def refusal(**request: Any) -> Callable[[Any], Any]:
    async def draft(_: Any) -> Any:
        return Refusals().draft(request, Caller(0), "no", None, 0.0)

    return draft


def plain(function: Callable[..., Any], *arguments: Any) -> Callable[[Any], Any]:
    async def call(_: Any) -> Any:
        return function(*arguments)

    return call


def answered(**request: Any) -> Callable[[Any], Any]:
    async def answer(daemon: Any) -> Any:
        unused: Any = None
        return await RequestHandler(daemon, unused, unused, unused)(request, CLIENT)

    return answer


LARGE: dict[str, Callable[[Any], Any]] = {
    "a refused request": refusal(do=HOSTILE),
    "a refused name": refusal(do="stop", name=HOSTILE),
    "refused names": refusal(do="stop", names=[HOSTILE, "b"]),
    "refused names that are lists": refusal(do="stop", names=[[1] * 200_000]),
    "a refused file": refusal(do="backup", file=HOSTILE),
    "a refused reason": refusal(do="stop", reason=HOSTILE),
    "a reason": plain(reason_of, {"reason": HOSTILE}),
    "no request": answered(do=HOSTILE),
    "no request, but a list": answered(do=[1] * 200_000),
    "fields": answered(do="list", fields=[1] * 250_000),
    "a name to show": answered(do="show", name=HOSTILE),
    "a name to wait for": answered(do="wait", name=HOSTILE, **{"for": "up"}, timeout=0.001),
    "a source of rollouts": answered(do="rollout", monitor=HOSTILE),
    "a name that is unknown": plain(unknown, NAMES, HOSTILE),
    "a pattern that fits nothing": plain(unknown, NAMES, HOSTILE + "*"),
    "a pattern with many stars": plain(not_one, NAMES, PATTERN),
    "such a pattern among names": lambda _: choose(NAMES, {"names": [PATTERN]}),
    "a stranger": lambda _: choose(NAMES, {"names": [HOSTILE]}, strangers=True),
    "very many names before all are known": plain(names_others, NAMES, {"names": [""] * 170_000}),
    "the log of a vassal": lambda daemon: log(daemon, {"name": HOSTILE}),
    "a config to go back to": lambda daemon: Rollbacks(daemon, None).answer(
        {"to": HOSTILE}, CLIENT
    ),
    "the time of an archive": lambda daemon: Archives(NO_JOURNAL).answer(
        "archive", {"before": HOSTILE}, CLIENT, daemon
    ),
}


@pytest.mark.parametrize("request_", LARGE.values(), ids=LARGE)
async def test_half_a_megabyte_costs_little(request_: Callable[[Any], Any]) -> None:
    daemon = Daemon(play("daemon started; daemon ready; added a.ini").fleet)
    began = time.process_time()
    with contextlib.suppress(Refused):
        await request_(daemon)
    assert time.process_time() - began < CHEAP


def test_an_answer_that_has_to_be_long_is_escaped_quickly() -> None:
    """Names that the client wrote come back to it. Character by character that took 1.5 s."""
    began = time.process_time()
    escapes.encode({"error": HOSTILE})
    assert time.process_time() - began < 0.5


SHOWN = {
    "a text": ("a\x1b", 10, "a\\x1b"),
    "a long text": ("a" * 20, 10, "a" * 10),
    "an escape at the end": ("a\x1b", 3, "a\\x"),
    "a number": (12, 10, "12"),
    "nothing": (None, 10, "None"),
    "a list": ([1], 10, "a list"),
    "an object": ({"a": 1}, 10, "an object"),
}


@pytest.mark.parametrize(("value", "most", "text"), SHOWN.values(), ids=SHOWN)
def test_how_a_value_is_told(value: object, most: int, text: str) -> None:
    assert told(value, most) == text


async def test_one_reason_is_made_for_all_vassals() -> None:
    """``--all`` is one request, so its reason is escaped once."""
    script = play("daemon started; daemon ready; added a.ini; added b.ini; added c.ini")
    daemon: Any = Daemon(script.fleet)
    request = {"do": "stop", "all": True, "reason": "late\x1b" * 300}
    await Orders(daemon).many("stop", request, CLIENT)
    assert [draft.vassal for draft in daemon.drafts] == ["a.ini", "b.ini", "c.ini"]
    assert len({id(draft.body) for draft in daemon.drafts}) == 1
    assert len(daemon.drafts[0].body.reason) == 1000


LIMITS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "fields": (answered(do="list", fields=["name"] * 1001), "fields: 1000 at most"),
    "a pattern": (
        lambda _: choose(NAMES, {"names": ["*" * 1001]}),
        "; a pattern has 1000 characters at most",
    ),
    "a stranger": (
        lambda _: choose(NAMES, {"names": ["a" * 255]}, strangers=True),
        "; a name has 254 bytes at most",
    ),
    "a name to wait for": (
        answered(do="wait", name="a" * 255, **{"for": "up"}),
        "; a name has 254 bytes at most",
    ),
    "no name to wait for": (
        answered(do="wait", **{"for": "up"}),
        "name: the name of a vassal is needed",
    ),
    "the time of an archive": (LARGE["the time of an archive"], "200 characters at most"),
    "another source": (answered(do="rollout", monitor="x" * 301), f"{'x' * 300} is none of the"),
}


@pytest.mark.parametrize(("request_", "error"), LIMITS.values(), ids=LIMITS)
async def test_limits_of_a_request(request_: Callable[[Any], Any], error: str) -> None:
    daemon = Daemon(play("daemon started; daemon ready; added a.ini").fleet)
    with pytest.raises(Refused) as refused:
        await request_(daemon)
    assert error in str(refused.value)
