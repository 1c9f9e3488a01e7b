"""A vassal in each phase, in the ways that make a difference, and each event that can meet it.

Situations are scripts (see ``script.py``) that bring foo.ini into a phase. Nothing here says what
comes of it: the table's tests and ``tools/lifecycle`` try each event in each situation and see.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Phase, Vassal, to_json

from .script import Script, play, spec

ONE_SLOT: Final = "policy max_starting=1; daemon started; daemon ready"
BUSY: Final = f"{ONE_SLOT}; added busy.ini"
BEHIND: Final = f"{BUSY}; accepting busy.ini; added foo.ini"
READY: Final = "daemon started; daemon ready"
ADDS_ADDRESS: Final = "changed foo.ini command=serve listen=:80 ts=2"
SICK: Final = f"{READY}; added foo.ini health-action=record; accepting foo.ini; sick foo.ini"
UP: Final = f"{READY}; added foo.ini; spawned foo.ini; accepting foo.ini"
NOTIFIES: Final = f"{READY}; added foo.ini command=x ready=notify; accepting foo.ini"
ON_DEMAND: Final = f"{READY}; added foo.ini socket=:80"
WOKEN: Final = f"{ON_DEMAND}; connection foo.ini"
CHECKED: Final = "changed foo.ini ts=2 preflight=x"
REFUSED: Final = f"{CHECKED}; refused foo.ini reason=x"
TAKEN: Final = "holder=b.ini held_as=:80"
BACK: Final = "operator rollback foo.ini ts=9"
KEPT: Final = f"{READY}; added foo.ini command=serve listen=:80; spawned foo.ini"
LISTENING_ON: Final = "operator stop foo.ini keep_listening=yes"
FAILED_TWICE: Final = (
    f"{READY}; added foo.ini; exited foo.ini code=1; deadline foo.ini; exited foo.ini code=1"
)

SITUATIONS: Final[dict[Phase, tuple[str, ...]]] = {
    "queued": (
        f"{BUSY}; added foo.ini",
        f"{BUSY}; added foo.ini socket=:80; connection foo.ini",
        "daemon started; added foo.ini",
        f"{READY}; added foo.ini preflight=x",
        f"{BUSY}; accepting busy.ini; added foo.ini preflight=x",
        f"{BUSY}; added foo.ini; changed foo.ini ts=2 preflight=x",
        f"{BUSY}; added foo.ini; changed foo.ini ts=2 preflight=x; refused foo.ini reason=x",
        "daemon started; added foo.ini socket=:80",
        f"{BUSY}; added foo.ini; {BACK}",
    ),
    "throttled": (
        f"{READY}; added foo.ini; exited foo.ini code=1; changed foo.ini ts=2 preflight=x",
        f"{READY}; added foo.ini; exited foo.ini code=1",
        FAILED_TWICE,
        f"{FAILED_TWICE}; daemon stopping",
        f"{FAILED_TWICE}; {BACK}; exited foo.ini code=1",
        f"{WOKEN}; exited foo.ini code=1",
        f"{BEHIND}; exited foo.ini code=1; operator reload busy.ini",
    ),
    "listening": (
        ON_DEMAND,
        f"{BUSY}; added foo.ini socket=:80",
        f"{ON_DEMAND}; changed foo.ini ts=2 socket=:80 preflight=x",
        f"{ON_DEMAND}; changed foo.ini ts=2 socket=:80 preflight=x; refused foo.ini reason=x",
        f"{ON_DEMAND}; daemon stopping",
        f"{ON_DEMAND}; {BACK} socket=:80",
    ),
    "starting": (
        f"{READY}; added foo.ini",
        f"{READY}; added foo.ini; changed foo.ini ts=2",
        f"{READY}; added foo.ini; {CHECKED}",
        f"{READY}; added foo.ini; {REFUSED}",
        f"{READY}; added foo.ini; deadline foo.ini",
        f"{READY}; added foo.ini command=gunicorn",
        f"{READY}; added foo.ini command=serve ready=5s; {ADDS_ADDRESS}",
        f"{READY}; added foo.ini command=gunicorn ready=notify",
        f"{FAILED_TWICE}; deadline foo.ini",
        f"{READY}; added foo.ini; daemon started",
        f"{FAILED_TWICE}; {BACK}",
        WOKEN,
    ),
    "ready": (
        f"{READY}; added foo.ini; ready foo.ini",
        f"{READY}; added foo.ini; ready foo.ini; changed foo.ini ts=2",
        f"{READY}; added foo.ini; ready foo.ini; deadline foo.ini",
        f"{READY}; added foo.ini; ready foo.ini; {CHECKED}",
        f"{READY}; added foo.ini; ready foo.ini; {REFUSED}",
        f"{READY}; added foo.ini command=gunicorn; spawned foo.ini",
        f"{READY}; added foo.ini command=serve; spawned foo.ini; {ADDS_ADDRESS}",
        f"{READY}; added foo.ini command=serve health-action=record; spawned foo.ini; sick foo.ini",
        f"{WOKEN}; ready foo.ini",
        f"{FAILED_TWICE}; {BACK}; ready foo.ini",
        f"{READY}; added foo.ini; ready foo.ini; loyal foo.ini; daemon started",
    ),
    "accepting": (
        UP,
        f"{UP}; loyal foo.ini",
        f"{UP}; {CHECKED}",
        f"{UP}; {REFUSED}",
        f"{READY}; added foo.ini bound=%d; accepting foo.ini; {CHECKED}",
        f"{READY}; added foo.ini bound=%d; accepting foo.ini; {REFUSED}",
        f"{BEHIND}; accepting foo.ini; operator reload",
        f"{WOKEN}; accepting foo.ini",
        f"{WOKEN}; accepting foo.ini; loyal foo.ini",
        f"{UP}; daemon started; adopted foo.ini control=no; daemon ready",
        f"policy forgive=60; {FAILED_TWICE}; deadline foo.ini; accepting foo.ini",
        f"{READY}; added foo.ini restart=no; accepting foo.ini",
        SICK,
        f"{READY}; added foo.ini command=serve ready=5s; accepting foo.ini; {ADDS_ADDRESS}",
        f"{READY}; added foo.ini reload=restart; accepting foo.ini",
        f"{READY}; added foo.ini reload=none; accepting foo.ini",
        f"{FAILED_TWICE}; {BACK}; accepting foo.ini",
    ),
    "reloading": (
        f"{UP}; changed foo.ini ts=2",
        f"{UP}; changed foo.ini ts=2; changed foo.ini listen=:80 ts=3",
        f"{SICK}; changed foo.ini health-action=record ts=2",
        f"{UP}; changed foo.ini ts=2; changed foo.ini ts=3",
        f"{UP}; changed foo.ini ts=3; {CHECKED}",
        f"{UP}; changed foo.ini ts=3; {REFUSED}",
        f"{UP}; loyal foo.ini; changed foo.ini ts=2",
        f"{UP}; loyal foo.ini; changed foo.ini ts=2; daemon started",
        f"{WOKEN}; accepting foo.ini; changed foo.ini ts=2 socket=:80",
        f"{NOTIFIES}; reloads foo.ini",
        f"{FAILED_TWICE}; {BACK}; accepting foo.ini; operator reload foo.ini",
    ),
    "stopping": (
        f"{UP}; removed foo.ini",
        f"{UP}; operator stop foo.ini",
        f"{UP}; operator stop foo.ini; {CHECKED}",
        f"{UP}; operator stop foo.ini; {REFUSED}",
        f"{UP}; changed foo.ini ts=2 uid=7",
        f'{UP}; changed foo.ini ts=2 bar="not a config"',
        f"{WOKEN}; accepting foo.ini; resigned foo.ini",
        f"{UP}; daemon stopping",
        f"{BEHIND}; resigned foo.ini; operator reload busy.ini",
        f"{FAILED_TWICE}; deadline foo.ini; operator stop foo.ini",
        f"{UP}; {BACK}",
    ),
    "held": (
        f"{UP}; operator stop foo.ini; exited foo.ini",
        f"{UP}; operator stop foo.ini; exited foo.ini; {CHECKED}",
        f"{UP}; operator stop foo.ini; exited foo.ini; {REFUSED}",
        f"{ON_DEMAND}; operator stop foo.ini",
        f"{ON_DEMAND}; {LISTENING_ON}",
        f"{KEPT}; {LISTENING_ON}; exited foo.ini",
        f"{KEPT}; {LISTENING_ON}; exited foo.ini; unopened foo.ini reason=x",
        f"{UP}; {BACK}; operator stop foo.ini; exited foo.ini",
    ),
    "barred": (
        f'{READY}; added foo.ini bar="not a config"',
        f"{READY}; added foo.ini; exited foo.ini code=26",
        f"{WOKEN}; failed foo.ini fault=exec",
        f"{READY}; added b.ini socket=:80; added foo.ini socket=:80; deaf foo.ini {TAKEN}",
        f"{ON_DEMAND}; error foo.ini",
        f"{ON_DEMAND}; error foo.ini; changed foo.ini ts=2 socket=:80 preflight=x",
        f"{READY}; added foo.ini preflight=x; refused foo.ini reason=x",
        f"{FAILED_TWICE}; {BACK}; exited foo.ini code=26",
    ),
}

SPEC: Final = "listen=:80 reload=replace"
DEMANDED: Final = "socket=:80 reload=replace"
REPLACES: Final = f"added foo.ini {SPEC}; accepting foo.ini; changed foo.ini ts=2 {SPEC}"
DIES: Final = "exited foo.ini attempt=1"
# A new instance of it starts beside the one that served, and that has ended or is about to.
WITH_SECOND: Final[dict[Phase, str]] = {
    "queued": f"{ONE_SLOT}; {REPLACES}; {DIES} code=1; deadline foo.ini",
    "throttled": f"{READY}; {REPLACES}; {DIES} code=1",
    "listening": (
        f"{READY}; added foo.ini {DEMANDED}; connection foo.ini; accepting foo.ini;"
        f" changed foo.ini ts=2 {DEMANDED}; {DIES} code=1; deadline foo.ini"
    ),
    "stopping": f"{READY}; {REPLACES}; heartbeat foo.ini attempt=1; silent foo.ini attempt=1",
    "barred": f"{READY}; {REPLACES}; {DIES} code=26",
}


class Trigger(NamedTuple):
    """An event as one kind can come. ``label`` is how people would name this one.

    ``change`` is what an announcement changes of the vassal's spec besides its config.
    """

    kind: str
    label: str
    body: dict[str, Any] = {}
    monitor: str | None = None
    vassal: str | None = "foo.ini"
    change: dict[str, Any] | None = None


NEWS: Final = tuple(
    Trigger(f"vassal_{kind}", f"{kind}{which}", monitor="a", change=change)
    for kind in ("added", "changed")
    for which, change in (
        ("", {}),
        (" (needs a restart)", {"uid": 9}),
        (" (new address)", {"socket": ":89"}),
        (" (may not run)", {"bar": "not a config"}),
    )
)
LISTEN_FAILED: Final = {"address": ":80", "reason": "in use"}
TRIGGERS: Final = (
    *NEWS,
    Trigger("vassal_removed", "removed", {}, "a"),
    Trigger("vassal_destroyed", "destroyed", {}, "a"),
    Trigger("config_restored", "config restored", {"config": "c1"}, "a"),
    Trigger("spawned", "spawned", {"pid": 5, "start_time": 5}),
    *(
        Trigger("spawn_failed", f"spawn failed ({fault})", {"reason": "refused", "fault": fault})
        for fault in ("exec", "resources", "interrupted")
    ),
    Trigger("vassal_ready", "ready"),
    Trigger("vassal_accepting", "accepting"),
    Trigger("vassal_loyal", "loyal"),
    Trigger("vassal_resigned", "resigned"),
    Trigger("vassal_deaf", "deaf"),
    Trigger("vassal_reloading", "reloads"),
    Trigger("vassal_stopping", "stops"),
    Trigger("timeout_extended", "needs more time", {"seconds": 600.0}),
    Trigger("reload_failed", "reload failed", {"reason": "no text"}),
    Trigger("preflight_passed", "preflight passed"),
    Trigger("deploy_refused", "deploy refused", {"reason": "exit code 1"}),
    Trigger("vassal_failed", "error of the daemon", {"place": "spawn", "reason": "KeyError"}),
    Trigger("heartbeat_started", "heartbeat started"),
    Trigger("heartbeat_lost", "heartbeat lost", {"silent": 30.0}),
    Trigger("health_lost", "health lost", {"failures": 3}),
    Trigger("health_regained", "health regained"),
    Trigger("connection_waiting", "connection waiting"),
    Trigger("listen_failed", "listen failed (address)", LISTEN_FAILED | {"fault": "address"}),
    Trigger("listen_failed", "listen failed (busy)", LISTEN_FAILED | {"fault": "busy"}),
    Trigger("listen_opened", "new addresses open"),
    Trigger("listen_refused", "new address refused", {"reason": "in use"}),
    Trigger("exited", "exited", {"code": 1}),
    Trigger("exited", "exited (code 26)", {"code": 26}),
    Trigger("exited", "exited (of a reload)", {"signal": 1, "reload": True}),
    Trigger("adopted", "adopted", {"pid": 5, "start_time": 5, "control": True}),
    Trigger("adopted", "adopted (no control)", {"pid": 5, "start_time": 5}),
    Trigger("deadline_passed", "deadline"),
    *(
        Trigger("operator_requested", f"operator: {request}", {"request": request})
        for request in (
            "start",
            "stop",
            "restart",
            "reload",
            "retry",
            "cancel_rollback",
            "reopen",
            "upgrade",
            "rollout_continue",
            "rollout_abort",
        )
    ),
    Trigger("operator_requested", "operator: rollback", {"request": "rollback"}),
    Trigger(
        "operator_requested",
        "operator: stop --keep-listening",
        {"request": "stop", "keep_listening": True},
    ),
)
# Events about the whole fleet or another vassal that can move this one, too.
ELSEWHERE: Final = (
    Trigger("daemon_started", "daemon started", vassal=None),
    Trigger("daemon_ready", "daemon ready", vassal=None),
    Trigger("daemon_stopping", "daemon stopping", {"reason": "asked to"}, vassal=None),
    Trigger("daemon_stopped", "daemon stopped", vassal=None),
    Trigger("vassal_accepting", "a slot is free", vassal="busy.ini"),
)


class Outcome(NamedTuple):
    """The outcome of a trigger. ``after`` is None if the vassal was forgotten."""

    phase: Phase
    trigger: Trigger
    after: Vassal | None
    actions: list[Action]
    changed: bool


def row_of(trigger: Trigger) -> str:
    """The row of the fold's table that decides."""
    return str(trigger.body.get("request", trigger.kind))


def try_all(
    phase: Phase, triggers: tuple[Trigger, ...] = TRIGGERS, texts: tuple[str, ...] = ()
) -> Iterator[Outcome]:
    """Each of the triggers in each situation of the phase, or in these."""
    for text in texts or SITUATIONS[phase]:
        for trigger in triggers:
            script = play(text)
            if trigger.vassal is None or trigger.vassal in script.fleet.vassals:
                yield try_trigger(phase, script, trigger)


def body_of(trigger: Trigger, vassal: Vassal | None) -> dict[str, Any]:
    """The body with which the trigger meets a vassal, or a stranger."""
    # Without an attempt or a deadline it gets one that is over.
    attempt, deadline = (vassal.attempt, vassal.deadline) if vassal else (None, None)
    check = (vassal.check if vassal else None) or 1
    body = {"deadline": deadline or 1, "check": check} | trigger.body
    if trigger.kind != "deadline_passed":
        body = {"attempt": attempt or 1} | body
    if trigger.kind in ("listen_opened", "listen_refused"):
        body["change"] = (vassal.opening if vassal else None) or 1
    if body.get("request") == "rollback":
        told = vassal.spec if vassal else spec("foo.ini", {})
        former = msgspec.structs.replace(told, ts=8, config="c8", bar=None)
        body["back_to"] = msgspec.to_builtins(former)
    if trigger.change is not None:
        told = vassal.spec if vassal else spec("foo.ini", {})
        news = {"ts": 9, "config": "c9", "bar": None} | trigger.change
        body["spec"] = msgspec.to_builtins(msgspec.structs.replace(told, **news))
    return body


def try_trigger(phase: Phase, script: Script, trigger: Trigger) -> Outcome:
    """One trigger, with the script in a situation of the phase."""
    subject = script.fleet.vassals.get(trigger.vassal or "")
    body = body_of(trigger, subject)
    if trigger.kind == "daemon_started":
        body = script.of_daemon("started")
    if trigger.kind == "deadline_passed" and subject is not None and subject.deadline:
        script.now = subject.deadline
    before = _facts(script)
    actions = script.happen(trigger.kind, trigger.vassal, trigger.monitor, body)
    after = script.fleet.vassals.get("foo.ini")
    return Outcome(phase, trigger, after, actions, bool(actions) or _facts(script) != before)


def _facts(script: Script) -> bytes:
    """The fleet but for the number and time of the last event, which every event changes."""
    seq, at = script.fleet.seq, script.fleet.at
    script.fleet.seq = script.fleet.at = 0
    facts = to_json(script.fleet)
    script.fleet.seq, script.fleet.at = seq, at
    return facts
