"""The moves: what the cells of the fold's table do.

Each move takes the fleet, the vassal, the event and the list of actions to add to. It reads
nothing else: not the clock (time is ``event.at``), no randomness, nothing of the machine. A move
that refuses changes nothing.

The names say what happens to the vassal. Small helpers come first, then the moves in the order
of the table's rows.
"""

from typing import Any, Final, Literal

from ...journal.events import Event, Spec
from ...journal.policy import Policy
from . import budget, deaths, rules, slots
from .actions import Action, Order
from .blame import Blame
from .fleet import Fleet, Phase, Vassal

_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000
_NO_ID: Final = 2**32 - 1
_SENT: Final = 1.0  # seconds after which a reload without confirmation counts as carried out
_WAITS: Final = "its change waits for the next start (reload = none)"
_OVER_BUDGET: Final = "more is recorded of it than its budget allows"
# Settings that a running program got at its start and keeps until its end.
_FIXED: Final = ("command", "nofile", "nproc", "as")

Actions = list[Action]


def ignore(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Nothing happens. A cell says so rather than being missing."""


# Helpers


def enter(
    vassal: Vassal,
    phase: Phase,
    event: Event,
    reason: str | None = None,
    deadline: int | None = None,
) -> None:
    vassal.phase = phase
    vassal.since = event.at
    vassal.because = event.seq
    vassal.reason = reason
    vassal.deadline = deadline


def order(vassal: Vassal, do: Order, event: Event, actions: Actions) -> None:
    vassal.order = event.seq
    actions.append(Action(do, vassal.name, vassal.attempt))


def take_slot(fleet: Fleet, vassal: Vassal) -> None:
    if not vassal.slot:
        vassal.slot = True
        fleet.starting += 1
        slots.took(fleet, vassal)


def free_slot(fleet: Fleet, vassal: Vassal) -> None:
    if vassal.slot:
        vassal.slot = False
        fleet.starting -= 1
        slots.gave_back(fleet, vassal)


def bar_reason(spec: Spec, policy: Policy, source: str) -> str | None:
    """Why a vassal with this spec, of this source, may not run, or None."""
    if spec.bar is not None:
        return spec.bar
    if policy.tyrant:
        for what, number in (("uid", spec.uid), ("gid", spec.gid)):
            # -1, in whatever guise, would leave the process as it is: root's.
            if number is None or not 0 < number < _NO_ID:
                gives = f"no {what}" if number is None else f"{what} {number}"
                return (
                    f"tyrant mode: {source} gives {gives};"
                    " to run, it needs a uid and a gid that are not root's"
                )
    return None


def needs_restart(vassal: Vassal) -> bool:
    """Whether a reload in place cannot turn what runs into what is wanted."""
    old, new = vassal.running, vassal.spec
    return old is not None and (
        (old.uid, old.gid, old.socket, old.path, old.cwd)
        != (new.uid, new.gid, new.socket, new.path, new.cwd)
        or any(old.settings.get(key) != new.settings.get(key) for key in _FIXED)
        # Without its socket, the daemon cannot send the new text to the vassal.
        or (new.path is None and not vassal.control)
    )


Way = Literal["tell", "restart", "none"]


def way_to_reload(vassal: Vassal) -> Way:
    """How a change of what it loads gets to it: told in place, by a restart, or not at all."""
    chosen = vassal.spec.settings.get("reload", "auto")
    if chosen == "none":
        return "none"
    learnt = vassal.is_deaf or (chosen == "auto" and vassal.restarts)
    return "restart" if chosen == "restart" or learnt else "tell"


def tells(vassal: Vassal) -> bool:
    """Whether its process can tell that it accepts. Nothing may wait for one that cannot."""
    return vassal.speaks and vassal.control


def moves_socket(vassal: Vassal) -> bool:
    """Whether the on-demand socket it has is not the one it is to have."""
    old, new = vassal.running, vassal.spec
    return old is not None and (old.socket, old.uid, old.gid) != (new.socket, new.uid, new.gid)


def close_socket(vassal: Vassal, actions: Actions) -> None:
    """Give its address back, if it has one. ``running`` names it, also after the attempt."""
    if vassal.running is not None and vassal.running.socket:
        vassal.running = None
        actions.append(Action("unlisten", vassal.name))


def seconds(duration: float) -> int:
    return int(duration * _SECOND)


def begin(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, *, had_turn: bool = False
) -> None:
    """It has no process and is wanted: bar it, listen for it, or launch it.

    ``had_turn``: it held a slot until now, and this start belongs to the same turn.
    """
    vassal.exiled = vassal.done = False
    fleet.blocked.pop(vassal.name, None)
    reason = vassal.failed
    if reason is None:
        reason = bar_reason(vassal.spec, fleet.policy, vassal.monitor)
    if reason is not None or (fleet.open and moves_socket(vassal)):
        close_socket(vassal, actions)
    if reason is not None:
        enter(vassal, "barred", event, reason)
    elif not fleet.open:
        enter(vassal, "queued", event, "waits for the daemon")
    elif vassal.spec.socket:
        vassal.running = vassal.spec
        enter(vassal, "listening", event)
        actions.append(Action("listen", vassal.name))
    else:
        launch(fleet, vassal, event, actions, had_turn=had_turn)


def launch(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, *, had_turn: bool = False
) -> None:
    """Spawn it, or queue it for a slot, or let it wait if it was started a moment ago."""
    if not fleet.open:
        enter(vassal, "queued", event, "waits for the daemon")
        return
    if vassal.earliest is not None and event.at < vassal.earliest:
        enter(vassal, "throttled", event, "was started a moment ago", vassal.earliest)
        return
    full = fleet.starting >= slots.slots(fleet)
    if rules.holds(fleet, rules.SHARES):
        waits = (full or not had_turn) and not slots.gets_slot(fleet, vassal, event)
    elif waits := full:
        slots.join(fleet, vassal, event)
    if waits:
        reason = "max-starting vassals are starting" if full else "waits for its turn to start"
        enter(vassal, "queued", event, reason)
        return
    spawn(fleet, vassal, event, actions)


def spawn(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    take_slot(fleet, vassal)
    fleet.reloaded_last = False
    vassal.launched, vassal.earliest = event.at, None
    vassal.attempt = vassal.order = event.seq
    vassal.running = vassal.spec
    vassal.pid = vassal.start_time = vassal.mark = None
    vassal.control = True
    # A plain program never says that it accepts, so nothing may wait for that.
    vassal.speaks = "command" not in vassal.spec.settings
    vassal.own_user, vassal.user = fleet.policy.tyrant, fleet.policy.user
    vassal.loyal = vassal.heartbeat = vassal.due = False
    if rules.holds(fleet, rules.LOADED):
        vassal.loaded = vassal.spec.config
    vassal.reload_at = None
    if not vassal.speaks:
        vassal.deaf = None  # a program gets signals
    patience = event.at + seconds(fleet.policy.start_patience)
    enter(vassal, "starting", event, deadline=patience)
    actions.append(Action("spawn", vassal.name, event.seq, vassal.spec.config))


def ask_reload(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Reload it in place now if a slot is free, else when one is."""
    vassal.due = True
    if not tells(vassal) and way_to_reload(vassal) == "tell":
        reload(fleet, vassal, event, actions)  # that takes no slot
    elif rules.holds(fleet, rules.SHARES):
        if slots.gets_slot(fleet, vassal, event):
            reload(fleet, vassal, event, actions)
    # Those that wait already go first: a vassal that changes all the time must not keep its slot.
    elif fleet.starting < slots.slots(fleet) and not slots.waits(fleet):
        reload(fleet, vassal, event, actions)
    else:
        slots.join(fleet, vassal, event)


def reload(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    slots.leave(fleet, vassal.name)  # its turn is now, whatever place it had
    if needs_restart(vassal):
        end(fleet, vassal, event, actions, "stop", "restarts, as it cannot ask for its config")
        return
    if way_to_reload(vassal) == "restart":
        restart(fleet, vassal, event, actions)
        return
    vassal.due = False
    if way_to_reload(vassal) == "none":
        vassal.reason = _WAITS
        return
    if rules.holds(fleet, rules.RELOAD_ENDS):
        vassal.reload_at = event.at
    vassal.heartbeat = False  # the new config has sent none yet, and may never send one
    vassal.running = vassal.spec
    vassal.order = event.seq
    actions.append(Action("reload", vassal.name, vassal.attempt, vassal.spec.config))
    patience = _SENT  # it would never say that it accepts again
    if tells(vassal):
        take_slot(fleet, vassal)
        fleet.reloaded_last = True
        patience = fleet.policy.start_patience
    else:
        free_slot(fleet, vassal)
    enter(vassal, "reloading", event, deadline=event.at + seconds(patience))


def restart(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Reload it by a restart. It keeps its slot over that, so a restart of many is bounded."""
    if vassal.deaf is not None:
        reason = "restarts, as it takes no orders to reload (deaf)"
    elif vassal.spec.settings.get("reload") == "restart":
        reason = "restarts, as its setting reload = restart says"
    else:
        reason = "restarts, as a reload by signal ended it before"
    end(fleet, vassal, event, actions, "stop", reason)
    take_slot(fleet, vassal)
    fleet.reloaded_last = True


def arrive(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, reason: str | None = None
) -> None:
    """It is up, and more than that is not known of it: it holds no slot."""
    free_slot(fleet, vassal)
    enter(vassal, "ready", event, reason)
    if vassal.due:
        ask_reload(fleet, vassal, event, actions)
    else:
        await_forgiveness(fleet, vassal)


def await_forgiveness(fleet: Fleet, vassal: Vassal) -> None:
    """Have its deaths forgotten if it has run quietly for a while since its phase began."""
    if vassal.deaths and fleet.policy.forgive:
        vassal.deadline = vassal.since + seconds(fleet.policy.forgive)


def end(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, do: Order, reason: str | None
) -> None:
    """Stop or kill its process; what follows is decided when it has gone."""
    free_slot(fleet, vassal)
    slots.leave(fleet, vassal.name)
    vassal.due = False
    order(vassal, do, event, actions)
    enter(vassal, "stopping", event, reason, event.at + seconds(fleet.policy.mercy))


def forget(fleet: Fleet, vassal: Vassal, actions: Actions) -> None:
    close_socket(vassal, actions)
    free_slot(fleet, vassal)
    slots.leave(fleet, vassal.name)
    fleet.blocked.pop(vassal.name, None)
    del fleet.vassals[vassal.name]


def clear_attempt(fleet: Fleet, vassal: Vassal) -> None:
    free_slot(fleet, vassal)
    slots.leave(fleet, vassal.name)
    vassal.attempt = vassal.pid = vassal.start_time = vassal.mark = None
    vassal.loyal = vassal.heartbeat = vassal.due = False


def punish(fleet: Fleet, vassal: Vassal, event: Event, reason: str) -> None:
    """It died unasked and unloyal: it waits, twice as long each time."""
    vassal.deaths += 1
    policy = fleet.policy
    # The exponent is bounded: a vassal may die for months.
    delay = min(policy.throttle << min(vassal.deaths - 1, 32), policy.max_throttle)
    clear_attempt(fleet, vassal)
    until = event.at + delay * _MILLISECOND
    if is_over_budget(fleet, vassal, event) and vassal.launched is not None:
        slow = vassal.launched + policy.max_throttle * _MILLISECOND
        if slow > until:
            reason, until = f"{reason}; {_OVER_BUDGET}", slow
    enter(vassal, "throttled", event, reason, until)


def is_over_budget(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether the account that pays for it is above its budget of records."""
    holds = rules.holds(fleet, rules.BUDGET)
    return holds and budget.is_vassal_over(fleet, vassal.name, event.at)


def pace(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """It ends and is not to blame, but one that does so in a loop must not keep the machine busy.

    From start to start it takes a throttle. So one that ran for longer is started again at once,
    and so is one that is to run another config.
    """
    if vassal.launched is not None and not vassal.due:
        delay = min(fleet.policy.throttle, fleet.policy.max_throttle)
        if is_over_budget(fleet, vassal, event):
            delay = fleet.policy.max_throttle
        vassal.earliest = vassal.launched + delay * _MILLISECOND


# Moves of what monitors say


def add(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The first time that this name is seen."""
    assert event.vassal is not None
    assert event.monitor is not None
    spec: Spec = event.body.spec  # type: ignore[attr-defined]
    vassal = Vassal(event.vassal, event.monitor, spec, "queued", event.at, event.seq)
    fleet.vassals[event.vassal] = vassal
    begin(fleet, vassal, event, actions)


def take_spec(vassal: Vassal, event: Event) -> None:
    assert event.monitor is not None
    before, vassal.spec = vassal.spec, event.body.spec  # type: ignore[attr-defined]
    if vassal.spec.settings.get("command") != before.settings.get("command"):
        vassal.restarts = False  # another program may reload as it is told
    vassal.monitor = event.monitor
    vassal.earliest = vassal.failed = None  # after a fix of its config it does not wait


def readd(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It comes back, or changes, while it is being stopped: it starts again after."""
    take_spec(vassal, event)
    vassal.wanted = True
    vassal.deaths = 0


def respec(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held: the new config waits with it."""
    take_spec(vassal, event)


def requeue(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Queued: keeps its place, unless it may no longer run or is now on demand."""
    take_spec(vassal, event)
    vassal.deaths = 0
    slots.renew(fleet, vassal)
    on_demand = vassal.spec.socket or moves_socket(vassal)
    if on_demand or bar_reason(vassal.spec, fleet.policy, vassal.monitor) is not None:
        slots.leave(fleet, vassal.name)
        begin(fleet, vassal, event, actions)


def renew(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Throttled or barred: after a fix of its config it does not wait."""
    take_spec(vassal, event)
    vassal.deaths = 0
    begin(fleet, vassal, event, actions)


def begin_restored(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Barred: its text is in the journal again, so it can start unless something else bars it."""
    if not vassal.exiled and vassal.spec.bar is None and vassal.name not in fleet.blocked:
        begin(fleet, vassal, event, actions)


def relisten(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Listening: only another address, owner or a bar matters before it runs."""
    take_spec(vassal, event)
    vassal.deaths = 0
    barred = bar_reason(vassal.spec, fleet.policy, vassal.monitor) is not None
    if moves_socket(vassal) or barred:
        begin(fleet, vassal, event, actions)


def amend(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Up: reload it in place, or restart it where that is not enough."""
    take_spec(vassal, event)
    vassal.deaths = 0
    reason = bar_reason(vassal.spec, fleet.policy, vassal.monitor)
    if reason is not None:
        end(fleet, vassal, event, actions, "stop", reason)
    elif way_to_reload(vassal) == "none" and not is_anothers(vassal):
        vassal.due = False
        vassal.reason = _WAITS
    elif needs_restart(vassal):
        end(fleet, vassal, event, actions, "stop", _why_restart(vassal))
    else:
        reload_when_up(fleet, vassal, event, actions)


def is_anothers(vassal: Vassal) -> bool:
    """Whether what runs is of another user, at another address or another place than is wanted."""
    old, new = vassal.running, vassal.spec
    return old is not None and (
        (old.uid, old.gid, old.socket, old.path, old.cwd)
        != (new.uid, new.gid, new.socket, new.path, new.cwd)
    )


def _why_restart(vassal: Vassal) -> str:
    old, new = vassal.running, vassal.spec
    assert old is not None
    if (old.uid, old.gid) != (new.uid, new.gid):
        return f"restarts as {_user(new)}; it was {_user(old)}"
    return "restarts with its new settings"


def _user(spec: Spec) -> str:
    pairs = (("uid", spec.uid), ("gid", spec.gid))
    told = [f"{what} {number}" for what, number in pairs if number is not None]
    return " ".join(told) or "the daemon's user"


def reload_when_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Reload it, but not before it has finished what it is starting."""
    if way_to_reload(vassal) == "none":
        return
    if vassal.slot:
        # It is still loading. Its next byte would be taken for the new config's success.
        vassal.due = True
    elif vassal.phase == "starting":
        # Its start timed out. A hung start handles neither a reload nor a stop. It is killed, so
        # that a fix of its config does not wait for the end of its mercy.
        end(fleet, vassal, event, actions, "kill", "restarts, as its start hangs")
    else:
        ask_reload(fleet, vassal, event, actions)


def drop(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No longer wanted, and no process: forgotten at once."""
    forget(fleet, vassal, actions)


def dismiss(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No longer wanted, and up: stopped, then forgotten."""
    vassal.wanted = False
    if vassal.phase != "stopping":
        end(fleet, vassal, event, actions, "stop", event.kind.replace("vassal_", ""))


# Moves of what the host and vassals say


def note_spawned(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    body: Any = event.body
    vassal.pid, vassal.start_time = body.pid, body.start_time
    vassal.mark = body.mark
    if body.runs is not None:  # it was taken over, and may run something else than was ordered
        vassal.control = body.control
        vassal.running, vassal.speaks = body.runs, "command" not in body.runs.settings
        vassal.due = _is_outdated(vassal)
    if body.mark is not None and rules.holds(fleet, rules.LOADED):
        vassal.loaded = None if body.runs is None else body.runs.config
    if not tells(vassal) and vassal.phase == "starting":
        arrive(fleet, vassal, event, actions)


def _is_outdated(vassal: Vassal) -> bool:
    """Whether what runs is not what is wanted, in a way that a reload or a restart changes."""
    old, new = vassal.running, vassal.spec
    assert old is not None
    return (old.ts, old.config) != (new.ts, new.config) or needs_restart(vassal)


def fail_spawn(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    body: Any = event.body
    changed = vassal.due
    if body.fault == "resources" and not changed:
        punish(fleet, vassal, event, body.reason)
        return
    clear_attempt(fleet, vassal)
    if body.fault == "exec" and not changed:
        enter(vassal, "barred", event, body.reason)
    else:
        begin(fleet, vassal, event, actions)


def note_ready(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    enter(vassal, "ready", event, deadline=vassal.deadline)


def accept(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    if vassal.phase == "reloading":
        vassal.deaf = None  # it has heard
    vassal.reload_at = None
    free_slot(fleet, vassal)
    enter(vassal, "accepting", event)
    if vassal.running is not None and rules.holds(fleet, rules.LOADED):
        vassal.loaded = vassal.running.config
    if vassal.due:
        ask_reload(fleet, vassal, event, actions)
    else:
        await_forgiveness(fleet, vassal)


def note_loyal(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    vassal.loyal = True
    vassal.deaths = 0
    if vassal.phase == "accepting":
        vassal.deadline = None  # there is nothing left to be forgiven


def resign(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It wants to be stopped: back to listening if on demand, else started again."""
    pace(fleet, vassal, event)
    end(fleet, vassal, event, actions, "stop", "resigned")


def note_deaf(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It has not read the order to reload, so that is carried out as a restart."""
    vassal.deaf = vassal.loaded or ""
    restart(fleet, vassal, event, actions)


def fail_reload(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """The daemon has not sent the order to reload: the process runs on as it is."""
    body: Any = event.body
    arrive(fleet, vassal, event, actions, f"not reloaded: {body.reason}")


def note_heartbeat(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    vassal.heartbeat = True


def lose_heartbeat(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    body: Any = event.body
    reason = f"no heartbeat for {body.silent:g} s"
    end(fleet, vassal, event, actions, "kill", reason)


def wake(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    launch(fleet, vassal, event, actions)


def fail_listen(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """The host cannot listen for it: try again later, or bar it until its address may be free."""
    body: Any = event.body
    if vassal.running is None or vassal.running.socket != body.address:
        return  # that was before it had another address
    vassal.running = None
    if body.fault != "address":
        punish(fleet, vassal, event, body.reason)
        return
    if body.holder is not None:
        holder = fleet.vassals.get(body.holder)
        if holder is None or holder.running is None or holder.running.socket != body.held_as:
            begin(fleet, vassal, event, actions)  # the holder has given it back meanwhile
            return
        fleet.blocked[vassal.name] = body.holder
    enter(vassal, "barred", event, body.reason)


def unblock(fleet: Fleet, event: Event, actions: Actions) -> None:
    """Begin those that were barred because another vassal had the address that is free now."""
    freed = {action.vassal for action in actions if action.do == "unlisten"}
    for name, holder in list(fleet.blocked.items()) if freed else ():
        with Blame(name):
            if holder in freed and fleet.vassals[name].phase == "barred":
                begin(fleet, fleet.vassals[name], event, actions)


def die(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It ended and no end was ordered; ``deaths.py`` says what that amounts to."""
    body: Any = event.body
    if _is_quiet(vassal, event):
        vassal.deaths = 0  # it had run quietly for long enough; that was not recorded in time
    verdict = deaths.judge(fleet, vassal, event)
    if verdict == "blamed":
        punish(fleet, vassal, event, deaths.how_it_died(body))
        return
    if verdict == "succeeded" or (vassal.loyal and verdict in ("loyal", "excused")):
        pace(fleet, vassal, event)
    if verdict == "reloaded" and body.reload:
        vassal.restarts = True
    had_turn = verdict == "reloaded" and vassal.slot
    clear_attempt(fleet, vassal)
    if verdict == "exiled":
        vassal.exiled = True
        reason = f"exit code {deaths.EXILE}: it asked not to be started again"
        enter(vassal, "barred", event, reason)
    elif verdict == "finished":
        vassal.exiled, vassal.done = True, deaths.succeeded(vassal, body)
        wish = vassal.spec.settings["restart"]
        enter(vassal, "barred", event, f"{deaths.how_it_died(body)}, and restart = {wish}")
    else:
        begin(fleet, vassal, event, actions, had_turn=had_turn)
        if verdict == "reloaded" and vassal.phase == "starting":
            vassal.reason = "restarts, as the reload ended it"


def _is_quiet(vassal: Vassal, event: Event) -> bool:
    """Whether it has run quietly until its deadline. In a reload that is another deadline."""
    waits = vassal.slot or vassal.phase == "reloading" or vassal.deadline is None
    return not waits and event.at >= (vassal.deadline or 0)


def after_stop(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its process was stopped and is gone: forget it, hold it, or begin anew."""
    had_turn = vassal.slot  # it was stopped for a restart
    clear_attempt(fleet, vassal)
    if not vassal.wanted:
        forget(fleet, vassal, actions)
    elif vassal.held:
        close_socket(vassal, actions)
        enter(vassal, "held", event, "stopped by an operator")
    else:
        begin(fleet, vassal, event, actions, had_turn=had_turn)


def adopt(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A new daemon found it running; an order that may not have arrived is given again."""
    body: Any = event.body
    vassal.pid, vassal.start_time, vassal.control = body.pid, body.start_time, body.control
    if not body.control:
        vassal.order = event.seq  # later events of it have this one as their cause
    if vassal.phase == "stopping":
        order(vassal, "stop", event, actions)
        vassal.deadline = event.at + seconds(fleet.policy.mercy)
    elif vassal.phase == "reloading":
        reload(fleet, vassal, event, actions)
    elif (vassal.slot or vassal.phase == "starting") and not tells(vassal):
        arrive(fleet, vassal, event, actions)


def start_timed_out(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its time for a start or a reload is over: it gives its slot back and may go on."""
    if not vassal.slot and vassal.phase != "reloading":
        forgive(fleet, vassal, event, actions)
        return
    free_slot(fleet, vassal)
    vassal.deadline = None
    if vassal.phase == "starting":
        vassal.reason = "slow to start"
        if vassal.due:
            end(fleet, vassal, event, actions, "kill", "restarts, as its start hangs")
        return
    if not vassal.speaks and vassal.running is not None and rules.holds(fleet, rules.LOADED):
        vassal.loaded = vassal.running.config  # it got its signal, and confirms nothing
    reason = "has not said that it accepts" if tells(vassal) else None
    arrive(fleet, vassal, event, actions, reason)


def forgive(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It has run quietly for a while: what it died of before is forgotten."""
    vassal.deaths = 0
    vassal.deadline = None


def retry(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its waiting is over."""
    begin(fleet, vassal, event, actions)


def stop_timed_out(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    order(vassal, "kill", event, actions)
    vassal.reason = "did not stop in time, killed"
    vassal.deadline = event.at + seconds(fleet.policy.mercy)


# Moves of the daemon's own errors. They do as little as they can, as another error in one of them
# would leave the vassal as it is.


def note_failure(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Take down the reason, and what its source had said when the error came."""
    body: Any = event.body
    if body.spec is not None and event.monitor is not None and vassal.name == event.vassal:
        vassal.spec, vassal.monitor = body.spec, event.monitor
        vassal.wanted = True
    vassal.failed = f"an error of the daemon in {body.place}: {body.reason}"


def fail(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """No process: it is barred."""
    note_failure(fleet, vassal, event, actions)
    vassal.exiled = vassal.done = False
    slots.leave(fleet, vassal.name)
    fleet.blocked.pop(vassal.name, None)
    close_socket(vassal, actions)
    enter(vassal, "barred", event, vassal.failed)


def fail_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It may have a process, which is stopped. It is barred when that has gone."""
    body: Any = event.body
    note_failure(fleet, vassal, event, actions)
    if body.gone is not None and body.gone == vassal.attempt:
        after_stop(fleet, vassal, event, actions)
    elif vassal.phase != "stopping":
        end(fleet, vassal, event, actions, "stop", vassal.failed)


def add_failed(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The error came when its source told of it for the first time: it is known, and barred."""
    body: Any = event.body
    if body.spec is None or event.monitor is None or event.vassal is None:
        return
    vassal = Vassal(event.vassal, event.monitor, body.spec, "queued", event.at, event.seq)
    fleet.vassals[event.vassal] = vassal
    fail(fleet, vassal, event, actions)


# Moves of what operators ask


def hold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    vassal.held = True
    close_socket(vassal, actions)
    slots.leave(fleet, vassal.name)
    enter(vassal, "held", event, "stopped by an operator")


def stop_and_hold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    vassal.held = True
    if vassal.phase != "stopping":
        end(fleet, vassal, event, actions, "stop", "stopped by an operator")


def release(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Held, throttled or barred: an operator wants it started now."""
    if vassal.done and event.vassal is None:
        return  # it was not named, and its work is over
    vassal.held = False
    vassal.deaths = 0
    vassal.earliest = vassal.failed = None
    begin(fleet, vassal, event, actions)


def unhold(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It starts again after, and its past is forgiven as if it had stopped already."""
    vassal.held = False
    vassal.deaths = 0
    vassal.earliest = vassal.failed = None


# Moves of the whole fleet


def take_over(fleet: Fleet, event: Event, actions: Actions) -> None:
    """A daemon starts. Nothing is launched before it has recovered and heard its sources."""
    body: Any = event.body
    rules.check(body.rules)
    other_policy = body.policy != fleet.policy
    fleet.policy, fleet.boot, fleet.open = body.policy, body.boot, False
    fleet.monitors, fleet.leaving, fleet.rules = body.monitors, False, body.rules
    fleet.pressure, fleet.booted = None, body.booted
    slots.regroup(fleet)
    for vassal in list(fleet.vassals.values()):
        # A bar may have been the old policy's: what barred it is judged again, unless it was
        # the vassal itself.
        if vassal.phase == "barred" and other_policy and not vassal.exiled:
            with Blame(vassal.name):
                begin(fleet, vassal, event, actions)
        elif vassal.phase == "listening":
            enter(vassal, "queued", event, "waits for the daemon")
        elif vassal.phase in ("ready", "accepting") and not vassal.slot:
            vassal.deadline = None
            await_forgiveness(fleet, vassal)


def let_go(fleet: Fleet, event: Event, actions: Actions) -> None:
    """This journal is a copy: the processes are the original's, and all is started anew."""
    fleet.open = fleet.leaving = False
    for vassal in list(fleet.vassals.values()):
        if vassal.attempt is not None:
            with Blame(vassal.name):
                after_stop(fleet, vassal, event, actions)


def open_up(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The daemon is ready: vassals that waited for it begin, unless it is leaving already."""
    if fleet.leaving:
        return
    fleet.open = True
    for vassal in list(fleet.vassals.values()):
        with Blame(vassal.name):
            if vassal.phase == "queued":
                slots.leave(fleet, vassal.name)
                begin(fleet, vassal, event, actions)
            elif vassal.phase in ("starting", "ready", "accepting", "reloading"):
                _end_wrong_user(fleet, vassal, event, actions)


def _end_wrong_user(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Stop it if this policy would not have let it run as it does."""
    reason = bar_reason(vassal.spec, fleet.policy, vassal.monitor)
    if reason is None and vassal.own_user != fleet.policy.tyrant:
        tyrant = fleet.policy.tyrant
        whose, turned = (_user(vassal.spec), "on") if tyrant else ("the daemon's user", "off")
        reason = f"restarts as {whose}: tyrant mode was turned {turned}"
    elif reason is None and vassal.user != fleet.policy.user:
        reason = f"restarts as {_by_option(fleet.policy)}: --user was changed"
    if reason is not None:
        end(fleet, vassal, event, actions, "stop", reason)


def _by_option(policy: Policy) -> str:
    if policy.user is None:
        return "the daemon's user"
    uid, gid = policy.user
    return f"uid {uid} gid {gid}"


def wind_down(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The daemon was told to stop: so is every vassal, and none is started any more."""
    body: Any = event.body
    fleet.open, fleet.leaving = False, True
    for vassal in fleet.vassals.values():
        if vassal.phase in ("starting", "ready", "accepting", "reloading"):
            with Blame(vassal.name):
                end(fleet, vassal, event, actions, "stop", f"the daemon stops ({body.reason})")


def close_down(fleet: Fleet, event: Event, actions: Actions) -> None:
    """The daemon has left."""
    fleet.open = False
    for vassal in fleet.vassals.values():
        if vassal.phase == "listening":
            enter(vassal, "queued", event, "waits for the daemon")
