"""Reloads: how a vassal that is up gets what it is to run, in place or by a restart."""

from typing import Final, Literal

from ...journal.events import Event, Spec
from . import listening, replacement, rules, slots, target, trial
from .actions import Action
from .fleet import Fleet, Vassal
from .steps import Actions, await_forgiveness, end, enter, free_slot, seconds, take_slot
from .telling import awaits_ready as awaits_ready
from .telling import says_so as says_so
from .telling import tells as tells

_SENT: Final = 1.0  # seconds after which a reload without confirmation counts as carried out
_CANNOT_ASK: Final = "restarts, as it cannot ask for its config"
WAITS: Final = "its change waits for the next start (reload = none)"
# Settings that a process has from its start on.
_FIXED: Final = (
    "command", "nofile", "nproc", "as", "directory", "environment", "environment-file", "umask",
    "user", "group", "memory-max", "cpu-weight", "tasks-max",
    "listen", "listen-mode", "listen-owner", "listen-backlog",
)  # fmt: skip
Way = Literal["tell", "restart", "replace", "none"]


def way_to_reload(vassal: Vassal) -> Way:
    """How a change gets to it: told in place, by a restart or a replacement, or not at all."""
    if vassal.anew:
        return "restart"
    chosen = vassal.aim.settings.get("reload", "auto")
    if chosen == "none":
        return "none"
    if chosen == "replace":
        return "replace" if replacement.is_replaced(vassal) else "restart"
    deaf = vassal.deaf is not None and vassal.is_deaf
    learnt = deaf or (chosen == "auto" and vassal.restarts)
    return "restart" if chosen == "restart" or learnt else "tell"


def needs_restart(vassal: Vassal) -> bool:
    """Whether a reload in place cannot turn what runs into the target."""
    old, new = vassal.running, vassal.aim
    return old is not None and (
        (old.uid, old.gid, old.socket, old.path, old.cwd)
        != (new.uid, new.gid, new.socket, new.path, new.cwd)
        or ((old.copy or new.copy) and _copied(old) != _copied(new))
        or (old.settings != new.settings and _changes_fixed(old, new))
        # Without its socket, the daemon cannot send the new text to the vassal.
        or (new.path is None and not vassal.control)
    )


def _copied(spec: Spec) -> str | None:
    """The digest that the path of its copy has; None where it has no copy."""
    return spec.config if spec.copy else None


def _changes_fixed(old: Spec, new: Spec) -> bool:
    if any(old.settings.get(key) != new.settings.get(key) for key in _FIXED):
        return True
    # A process has its NOTIFY_SOCKET from its start on.
    return (old.settings.get("ready") == "notify") != (new.settings.get("ready") == "notify")


def is_anothers(vassal: Vassal) -> bool:
    """Whether what runs is of another user, at another address or place than the target."""
    old, new = vassal.running, vassal.aim
    return old is not None and (
        (old.uid, old.gid, old.socket, old.path, old.cwd)
        != (new.uid, new.gid, new.socket, new.path, new.cwd)
    )


def reload_when_up(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Reload it in its turn, if there is a change that it may have and that gets to it at all."""
    if way_to_reload(vassal) != "none" and vassal.target is not None:
        reload_in_turn(fleet, vassal, event, actions)


def reload_in_turn(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Reload it, but not before it has finished what it is starting."""
    if vassal.slot:
        # It is still loading. Its next byte would be taken for the new config's success.
        vassal.due = True
    elif vassal.phase == "starting":
        end_hung_start(fleet, vassal, event, actions)
    else:
        ask_reload(fleet, vassal, event, actions)


def end_hung_start(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Its start timed out. A hung start handles neither a reload nor a stop.

    It is killed, so that a fix of its config does not wait for the end of its mercy. New addresses
    are opened before.
    """
    if needs_restart(vassal) and listening.opens_first(vassal, event, actions):
        return
    end(fleet, vassal, event, actions, "kill", "restarts, as its start hangs")


def ask_reload(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Reload it in place now if a slot is free, else when one is."""
    vassal.due = True
    way = way_to_reload(vassal)
    if way == "replace" and _replaces_later(fleet, vassal):
        slots.leave(fleet, vassal.name)
        return
    if way == "tell" and not tells(vassal):
        reload(fleet, vassal, event, actions)  # that takes no slot
    elif rules.holds(fleet, rules.SHARES):
        if slots.gets_slot(fleet, vassal, event):
            reload(fleet, vassal, event, actions)
    # Those that wait already go first: a vassal that changes all the time must not keep its slot.
    elif fleet.starting < slots.slots(fleet) and not slots.waits(fleet):
        reload(fleet, vassal, event, actions)
    else:
        slots.join(fleet, vassal, event)


def is_ordered_again(vassal: Vassal) -> bool:
    """Whether a new daemon gives the order to reload again, because it may not have arrived."""
    if vassal.phase != "reloading":
        return False
    return not says_so(vassal) and not would_load_unapproved(vassal)


def waits_on(vassal: Vassal) -> bool:
    """Whether a later change waits while it reloads.

    It waits for a slot, for its addresses, for a new instance, or for its next start.
    """
    way = way_to_reload(vassal)
    is_later = vassal.due and (not vassal.slot or way == "replace")
    return is_later or vassal.opening is not None or way == "none"


def would_load_unapproved(vassal: Vassal) -> bool:
    """Whether a reload would read a text of its file that is checked, or was refused."""
    ran = vassal.running
    if ran is None or not target.runs_file(ran) or ran.copy:
        return False
    # With a target it would be restarted in its place, but not where a later change waits.
    return vassal.target is None or (vassal.is_open and waits_on(vassal))


def _replaces_later(fleet: Fleet, vassal: Vassal) -> bool:
    """Whether a replacement waits, in no line, for the end of another one or for the daemon."""
    return vassal.candidate is not None or not fleet.open


def reload(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    slots.leave(fleet, vassal.name)  # its turn is now, whatever place it had
    way = way_to_reload(vassal)
    if way == "replace":
        if _replaces_later(fleet, vassal):
            vassal.due = True
            return
        replacement.start(fleet, vassal, event, actions)
        return
    if needs_restart(vassal) and not vassal.anew:
        if listening.opens_first(vassal, event, actions):
            return
        end(fleet, vassal, event, actions, "stop", _why_not_in_place(vassal))
        return
    if way == "restart":
        restart(fleet, vassal, event, actions)
        return
    vassal.due = False
    if way == "none":
        await_next_start(fleet, vassal)
        return
    trial.note_time(fleet, vassal, event)
    if rules.holds(fleet, rules.REPLACE):
        vassal.tied = "" if vassal.is_open else vassal.bound
    vassal.running = vassal.aim
    _order_reload(fleet, vassal, event, actions)


def await_next_start(fleet: Fleet, vassal: Vassal) -> None:
    """Its change does not get to what runs. The reason is told, unless it says that it reloads."""
    if not (says_so(vassal) and rules.holds(fleet, rules.ANNOUNCED)):
        vassal.reason = WAITS


def order_again(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """A new daemon adopted it: order the reload that is under way again. A later change waits on.

    A uWSGI that cannot ask for its config any more restarts instead.
    """
    ran = vassal.running
    can_ask = vassal.control or ran is None or ran.path is not None
    if not (waits_on(vassal) and rules.holds(fleet, rules.IN_TURN)):
        reload(fleet, vassal, event, actions)
    elif can_ask or not vassal.speaks:  # a program gets a signal
        _order_reload(fleet, vassal, event, actions)
    elif vassal.opening is not None or way_to_reload(vassal) == "replace":
        return  # the change restarts or replaces it
    elif not listening.opens_first(vassal, event, actions):
        end(fleet, vassal, event, actions, "stop", _CANNOT_ASK)


def _order_reload(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Order its process to load ``running`` in place. A later change waits on."""
    assert vassal.running is not None
    if rules.holds(fleet, rules.RELOAD_ENDS):
        vassal.reload_at = event.at
    vassal.heartbeat = False  # the new config has sent none yet, and may never send one
    vassal.order = event.seq
    actions.append(Action("reload", vassal.name, vassal.attempt, vassal.running.config))
    patience = _SENT  # it would never say that it accepts again
    if tells(vassal):
        take_slot(fleet, vassal)
        fleet.reloaded_last = True
        patience = fleet.policy.start_patience
    else:
        free_slot(fleet, vassal)
    enter(vassal, "reloading", event, deadline=event.at + seconds(patience))


def _why_not_in_place(vassal: Vassal) -> str:
    old, new = vassal.running, vassal.aim
    if old is not None and new.copy and not old.copy:
        return "restarts from the journal's copy, as the text of its file may not run"
    return _CANNOT_ASK


def restart(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Reload it by a restart. It keeps its slot over that, so a restart of many is bounded."""
    if needs_restart(vassal) and listening.opens_first(vassal, event, actions):
        return
    if vassal.anew:
        reason = "restarts, as an operator asked"
    elif vassal.deaf is not None:
        reason = "restarts, as it takes no orders to reload (deaf)"
    elif vassal.aim.settings.get("reload") == "replace":
        reason = f"restarts, as {replacement.obstacle(vassal)}"
    elif vassal.aim.settings.get("reload") == "restart":
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
