"""Moves of what the host and vassals say, and of deadlines: processes start, tell and end.

A move has the signature ``(fleet, vassal, event, actions)``. It changes the vassal and appends
orders to ``actions``; the table in ``fold.py`` says in which phases it applies. It can assume that
the event is about the present attempt, because the fold drops all others.

Three ends of a process look alike and differ. One was ordered, and ``after_stop`` is its move. One
was caused by an order to reload, and counts as a restart. Of the others the vassal is to blame, or
it is not: ``deaths.py`` judges that, and ``die`` carries it out.

A deadline has one field for several meanings. It ends a start, a stop, a wait, or the time until
deaths are forgotten. The phase says which, and so does the cell of the table.
"""

from typing import Any

from ...journal.events import Event
from . import deaths, ends, listening, readiness, rollback, rules, trial
from .blame import Blame
from .fleet import Fleet, Vassal
from .reloads import (
    arrive,
    ask_reload,
    awaits_ready,
    end_hung_start,
    needs_restart,
    order_again,
    restart,
    says_so,
    tells,
    would_load_unapproved,
)
from .starts import back_off, begin, is_over_budget, launch, pace
from .steps import (
    Actions,
    await_forgiveness,
    clear_attempt,
    end,
    enter,
    free_slot,
    mercy,
    order,
    seconds,
)
from .telling import RELOADS, UNCONFIRMED


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
    if not tells(vassal) and vassal.phase == "starting" and not awaits_ready(vassal):
        arrive(fleet, vassal, event, actions)


def _is_outdated(vassal: Vassal) -> bool:
    """Whether what runs is not the target, in a way that a reload or a restart changes."""
    old, new = vassal.running, vassal.aim
    assert old is not None
    return (old.ts, old.config) != (new.ts, new.config) or needs_restart(vassal)


def fail_spawn(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    body: Any = event.body
    changed = vassal.due
    if body.fault == "resources" and not changed:
        back_off(fleet, vassal, event, body.reason)
        return
    exec_failed = body.fault == "exec" and not changed
    if exec_failed and rollback.fails(fleet, vassal, event, body.reason, for_good=True):
        exec_failed = False
    clear_attempt(fleet, vassal)
    if exec_failed:
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
    rollback.note_accepting(fleet, vassal)
    if vassal.due:
        ask_reload(fleet, vassal, event, actions)
    else:
        await_forgiveness(fleet, vassal)


def note_loyal(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    vassal.loyal = True
    if vassal.phase != "reloading":  # then the former config may have served the request
        trial.note_good(fleet, vassal)
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
    reason = ends.HANGS if body.asked else f"no heartbeat for {body.silent:g} s"
    ends.note_death(fleet, vassal, event)
    if body.asked or is_over_budget(fleet, vassal, event):
        pace(fleet, vassal, event)  # it can say so as soon as it is started
    rollback.fails(fleet, vassal, event, reason)
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
        back_off(fleet, vassal, event, body.reason)
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
    # Most events are about no holder: then the blocked ones are not looked at one by one.
    about_holder = event.vassal in fleet.blocked.values()
    for name, holder in list(fleet.blocked.items()) if freed or about_holder else ():
        with Blame(name):
            blocked = fleet.vassals[name]
            released = holder == event.vassal and _releases(fleet, blocked, event)
            if (holder in freed or released) and blocked.phase == "barred":
                begin(fleet, blocked, event, actions)


def _releases(fleet: Fleet, blocked: Vassal, event: Event) -> bool:
    """Whether the vassal of an event, which had the address of ``blocked``, asks for it no more."""
    if not rules.holds(fleet, rules.RELEASE):
        return False
    holder = fleet.vassals.get(event.vassal or "")
    if holder is None or holder.phase in ("held", "barred"):
        return holder is None or not holder.listens
    if event.kind == "listen_failed":
        return holder.phase != "listening"
    changed = event.kind in ("vassal_added", "vassal_changed", "preflight_passed")
    return changed and holder.aim.socket != blocked.aim.socket


def die(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It ended and no end was ordered; ``deaths.py`` says what that amounts to."""
    body: Any = event.body
    trial.note_time(fleet, vassal, event)
    if _is_quiet(vassal, event):
        vassal.deaths = 0  # it had run quietly for long enough; that was not recorded in time
    verdict = deaths.judge(fleet, vassal, event)
    ends.note_end(fleet, vassal, event, None)
    is_death = deaths.is_restart(vassal, body, verdict)
    if is_death:
        ends.note_death(fleet, vassal, event)
    how = deaths.how_it_died(body)
    if is_death and verdict != "excused" and rollback.fails(fleet, vassal, event, how):
        clear_attempt(fleet, vassal)
        begin(fleet, vassal, event, actions)
        return
    if verdict == "blamed":
        back_off(fleet, vassal, event, how)
        return
    if verdict == "succeeded" or (vassal.loyal and verdict in ("loyal", "excused")):
        pace(fleet, vassal, event)
    if verdict == "reloaded" and body.reload:
        vassal.restarts = True
    had_turn = verdict == "reloaded" and vassal.slot
    wish = vassal.aim.settings.get("restart")
    clear_attempt(fleet, vassal)
    if verdict == "exiled":
        vassal.exiled = True
        reason = f"exit code {deaths.EXILE}: it asked not to be started again"
        enter(vassal, "barred", event, reason)
    elif verdict == "finished":
        vassal.exiled, vassal.done = True, deaths.succeeded(vassal, body)
        enter(vassal, "barred", event, f"{how}, and restart = {wish}")
    else:
        begin(fleet, vassal, event, actions, had_turn=had_turn)
        if verdict == "reloaded" and vassal.phase == "starting":
            vassal.reason = "restarts, as the reload ended it"


def _is_quiet(vassal: Vassal, event: Event) -> bool:
    """Whether it has run quietly until its deadline.

    In a start or a reload that is another deadline. A start without a slot has one only if its
    ``ready`` gives it more time. Journals of rules 1 have no such settings.
    """
    moves = vassal.phase in ("starting", "reloading")
    waits = vassal.slot or moves or vassal.deadline is None
    return not waits and event.at >= (vassal.deadline or 0)


def adopt(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A new daemon found it running; an order that may not have arrived is given again."""
    body: Any = event.body
    vassal.pid, vassal.start_time, vassal.control = body.pid, body.start_time, body.control
    listening.go_on(fleet, vassal, event, actions)
    if not body.control:
        vassal.order = event.seq  # later events of it have this one as their cause
    if vassal.phase == "stopping":
        order(vassal, "stop", event, actions)
        vassal.deadline = event.at + seconds(mercy(fleet, vassal))
    elif says_so(vassal) and rules.holds(fleet, rules.ANNOUNCED):
        if _cannot_say(vassal):  # an order has arrived, if one was given
            arrive(fleet, vassal, event, actions)
    elif vassal.phase == "reloading" and would_load_unapproved(vassal):
        arrive(fleet, vassal, event, actions, "not reloaded: the text of its file may not run")
    elif vassal.phase == "reloading":
        order_again(fleet, vassal, event, actions)
    elif vassal.phase == "starting" and awaits_ready(vassal) and not _cannot_say(vassal):
        return  # the host looks again, or is told
    elif (vassal.slot or vassal.phase == "starting") and not tells(vassal):
        arrive(fleet, vassal, event, actions)


def _cannot_say(vassal: Vassal) -> bool:
    """Whether it cannot say that it is up, as its sockets were lost with the daemon before."""
    settings = {} if vassal.running is None else vassal.running.settings
    return settings.get("ready") == "notify" and not vassal.control


def start_timed_out(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its time for a start or a reload is over: it gives its slot back and may go on."""
    if vassal.phase == "starting" and awaits_ready(vassal) and not vassal.due:
        readiness.timed_out(fleet, vassal, event, actions)
        return
    if not vassal.slot and vassal.phase not in ("starting", "reloading"):
        forgive(fleet, vassal, event, actions)
        return
    free_slot(fleet, vassal)
    vassal.deadline = None
    if vassal.phase == "starting":
        vassal.reason = "slow to start"
        if vassal.due:
            end_hung_start(fleet, vassal, event, actions)
        if vassal.phase == "starting" and awaits_ready(vassal):  # new addresses are opened first
            readiness.timed_out(fleet, vassal, event, actions)
        return
    if not vassal.speaks and vassal.running is not None and rules.holds(fleet, rules.LOADED):
        vassal.loaded = vassal.running.config  # it got its signal, and confirms nothing
    says = tells(vassal) or vassal.reason == RELOADS
    reason = UNCONFIRMED if says else None
    arrive(fleet, vassal, event, actions, reason)


def forgive(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """It has run quietly for a while: what it died of before is forgotten."""
    trial.note_time(fleet, vassal, event)
    vassal.deaths = 0
    vassal.deadline = None


def retry(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its waiting is over."""
    begin(fleet, vassal, event, actions)


def stop_timed_out(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    order(vassal, "kill", event, actions)
    asked_again = fleet.leaving and event.at < (vassal.deadline or 0)
    ends.note_kill(
        fleet, vassal, "a second request to stop" if asked_again else "it did not stop in time"
    )
    vassal.reason = "did not stop in time, killed"
    vassal.deadline = event.at + seconds(mercy(fleet, vassal))
