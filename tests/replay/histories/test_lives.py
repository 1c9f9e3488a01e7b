"""Properties: of any life of a fleet, a history is stable, can be made smaller, and be redacted."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import pytest
from emperord.daemon.core.actions import Action
from emperord.daemon.core.checkpoints import NEWEST, digest_of
from emperord.journal import chain
from emperord.journal.events import Checkpoint, Event
from emperord.replay.histories.check import check
from emperord.replay.histories.closure import reduced
from emperord.replay.histories.folding import Folding, anew, decided
from emperord.replay.histories.history import Expectation, Header, History, Step, start_of
from emperord.replay.histories.recorded import tidied
from emperord.replay.histories.redaction import redacted
from emperord.replay.histories.text import read, write
from fold.test_properties import Life
from hypothesis import HealthCheck, settings
from support.effort import examples

# Each has six characters or more, and stands nowhere in the format.
NAMES: Final = {
    "a.ini": "acme-portal.ini",
    "b.ini": "bluebird.yaml",
    "c.ini": "Cordelia shop.json",
    "d.ini": "/srv/donau/billing.xml",
}
SOURCES: Final = {
    "one": "pg://keeper@db7.acme.example/fleet;SELECT tenants",
    "two": "dir:///srv/tenants",
}
TEXTS: Final = {
    chain.digest(text): text
    for text in (b"[uwsgi]\nsecret-key = hunter2\n", b"[uwsgi]\nmodule = billing:application\n")
}
PATH: Final = "/srv/acme/config.ini"
SOCKET: Final = "/run/acme/portal.socket"
SECRETS: Final = (
    *NAMES.values(),
    *SOURCES.values(),
    *TEXTS,
    *(line for text in TEXTS.values() for line in text.decode().splitlines()[1:]),
    PATH,
    SOCKET,
    "jane.roe@acme.example",
    "gunicorn acme:app",
    "the customer has not paid",
    "Traceback of acme",
    "6c7f4c1e-aaaa-bbbb-cccc-121212121212",
    "host7 kernel",
)


def dressed(journal: Iterable[Event]) -> History:
    """A life whose names and texts are told: the history that today's fold gives."""
    steps = tuple(Step(_dressed(event)) for event in journal)
    history = History(Header(version="0.1.0", made_from="events 1-9 of journal abc"), steps=steps)
    header = msgspec.structs.replace(
        history.header, sources={url: name for name, url in SOURCES.items()}
    )
    return anew(history.replaced(header=header, texts=TEXTS))


def _dressed(event: Event) -> Event:
    body: dict[str, Any] = msgspec.to_builtins(event.body)
    if "spec" in body:
        body["spec"] = _spec(body["spec"])
        body["change"] = "the customer has not paid"
    for field, value in (
        ("reason", "the customer has not paid"), ("address", SOCKET), ("held_as", SOCKET),
        ("boot", "6c7f4c1e-aaaa-bbbb-cccc-121212121212"),
    ):  # fmt: skip
        if body.get(field):
            body[field] = value
    if "monitors" in body:
        body["monitors"] = [SOURCES[url] for url in body["monitors"]]
    for field in ("name", "holder"):
        if body.get(field):
            body[field] = NAMES[body[field]]
    if event.kind == "exited":
        body |= {"log": "Traceback of acme", "oom": "host7 kernel"}
    return msgspec.structs.replace(
        event,
        monitor=SOURCES.get(event.monitor or ""),
        vassal=NAMES.get(event.vassal or ""),
        body=msgspec.convert(body, type(event.body)),
    )


def _spec(spec: dict[str, Any]) -> dict[str, Any]:
    texts = dict(zip(("c1", "c2"), TEXTS, strict=True))
    told: dict[str, Any] = {
        "config": texts[spec["config"]],
        "path": spec.get("path") and PATH,
        "cwd": "/srv/acme/",
        "socket": spec.get("socket") and f"{SOCKET}{spec['socket']}",
        "attrs": {"author": "jane.roe@acme.example"},
        "bar": spec.get("bar") and "the customer has not paid",
        "settings": dict(spec.get("settings", {})),
    }
    if "command" in told["settings"]:
        told["settings"]["command"] = f"gunicorn acme:app {told['settings']['command']}"
    return spec | told


def with_a_checkpoint(history: History) -> History:
    """The history with the digest of its fleet at the end."""
    folding = Folding(history.fleet())
    for step in history.steps:
        folding.take(step.event)
    last = history.steps[-1].event
    body = Checkpoint(v=NEWEST, digest=digest_of(folding.fleet))
    event = Event(last.seq + 1, last.at + 1, "checkpoint", None, None, None, body)
    return history.replaced(steps=(*history.steps, Step(event)))


def begun_later(history: History) -> History:
    """The second half of it."""
    half = len(history.steps) // 2
    folding = Folding(history.fleet())
    for step in history.steps[:half]:
        folding.take(step.event)
    return history.replaced(start=start_of(folding.fleet), steps=history.steps[half:])


def check_stable(history: History) -> None:
    text = write(history)
    assert read(text) == history
    assert write(read(text)) == text
    assert str(check(history)) == "same"


def check_reduced(history: History) -> None:
    """Smaller, and the same decisions about each vassal that is left."""
    for name in NAMES.values():
        part = tidied(reduced(history, [name]))
        check_stable(part)
        kept = {step.event.seq: step for step in part.steps}
        for step in history.steps:
            assert about(name, kept.get(step.event.seq, Step(step.event))) == about(name, step)


def about(name: str, step: Step) -> tuple[list[Action], list[Expectation]]:
    return (
        [each for each in step.actions if each.vassal == name],
        [each for each in step.expectations if each.vassal == name],
    )


def check_redacted(history: History) -> None:
    """Nothing of the original is told, and the same is decided."""
    told = redacted(history)
    check_stable(told)
    text = write(told)
    assert [secret for secret in SECRETS if secret in text] == []
    for ours, theirs in zip(decided(history), decided(told), strict=True):
        assert [action.do for action in ours.actions] == [action.do for action in theirs.actions]
        assert [each.phase for each in ours.expectations] == [
            each.phase for each in theirs.expectations
        ]


class LifeInAHistory(Life):
    """A life that is written down."""

    def teardown(self) -> None:
        if not self.world.journal:
            return
        whole = with_a_checkpoint(dressed(event for event, _ in self.world.journal))
        for history in (whole, begun_later(whole)):
            check_stable(history)
            check_reduced(history)
            check_redacted(history)


TestLifeInAHistory = pytest.mark.search(LifeInAHistory.TestCase)
TestLifeInAHistory.settings = settings(
    max_examples=examples(15),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
