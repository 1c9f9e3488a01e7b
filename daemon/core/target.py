"""The target: the spec with which a vassal may be started.

Three specs are told apart. *Wanted* is what the source gives now, *running* what the process has.
Each start uses the *target*. The target is the wanted spec unless the change to it is being
checked (``preflight``) or tried (``replacement.py``), or was refused. Then the target is the one
from before, which is *kept*:

- A config that came inline is run from the journal anyway.
- A program that a ``command`` names has its settings from the kept spec.
- uWSGI reads its file itself. So it is started with the journal's copy of the former text
  (``Spec.copy``). Where a copy would mean something else (``bound``), nothing is kept: the process
  runs on, but nothing can be started until a change passes.

Nothing is kept either before the first start, and where the vassal has another source or user now.
Nor is anything kept where it was removed and comes back while it is being stopped.
An instance of another user is ended before the check: its place is not that user's any more.
"""

from typing import Final

import msgspec

from ...journal.events import Event, Spec
from ...journal.policy import Policy
from . import rules, trial
from .actions import Action
from .fleet import Fleet, Refusal, Vassal
from .starts import CHECKED as CHECKED
from .starts import bar_reason

Actions = list[Action]
NOT_RECORDED: Final = "not in the journal"
_NO_START: Final = "it cannot be started again while a change of it waits or was refused"
_NO_WAY_BACK: Final = "a change of it cannot be rolled back to it"


def runs_file(spec: Spec) -> bool:
    """Whether its program is uWSGI that reads its config from a file."""
    return spec.path is not None and "command" not in spec.settings


def has_preflight(fleet: Fleet, spec: Spec) -> bool:
    """Whether a change to this spec is checked before it is the target."""
    return "preflight" in spec.settings and rules.holds(fleet, rules.PREFLIGHT)


def kept_from(fleet: Fleet, vassal: Vassal, event: Event) -> Spec | None:
    """The spec that may be started while the change that this event tells is checked."""
    new: Spec = event.body.spec  # type: ignore[attr-defined]
    target = vassal.target
    if target is None or vassal.phase == "barred" or vassal.monitor != event.monitor:
        return None
    if not vassal.wanted:  # it was removed, maybe after a refusal, and comes back as a new one
        return None
    barred = bar_reason(target, fleet.policy, vassal.monitor) is not None
    if barred or (target.uid, target.gid) != (new.uid, new.gid):
        return None
    if not runs_file(target) or target.copy:
        return target
    return None if vassal.bound else msgspec.structs.replace(target, copy=True)


def unkept_text(vassal: Vassal, policy: Policy) -> str | None:
    """A warning where a change of this vassal that may not run would leave nothing to start."""
    return unkept(vassal.spec, vassal.bound, policy, vassal.monitor)


def unkept(spec: Spec, bound: str, policy: Policy, source: str) -> str | None:
    """The same of a spec of this source whose text is ``bound``."""
    if not bound:
        return None
    waits = "preflight" in spec.settings or bool(policy.rollout_size(source))
    waits = waits or spec.settings.get("reload") == "replace"
    consequence = _NO_START if waits else _NO_WAY_BACK
    if consequence == _NO_WAY_BACK and not trial.rollback_limit(policy, spec):
        return None
    if bound == NOT_RECORDED:
        return f"its text is {bound}, so {consequence}"
    return f"its text has {bound}, which means another thing in a copy, so {consequence}"


def begin_check(
    fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, kept: Spec | None
) -> bool:
    """Have the preflight of its wanted spec run; False where it has none, or may not run at all."""
    spec = vassal.spec
    if not has_preflight(fleet, spec) or bar_reason(spec, fleet.policy, vassal.monitor) is not None:
        cancel(vassal, actions)
        return False
    vassal.kept = kept
    order(vassal, event, actions)
    return True


def may_check_again(vassal: Vassal) -> bool:
    """Whether its preflight refused its wanted spec, and may be run once more."""
    return vassal.refused is not None and not vassal.refused.rolled_back


def order(vassal: Vassal, event: Event, actions: Actions) -> None:
    """Have its wanted spec checked, from the beginning. A check that is under way ends."""
    vassal.check, vassal.refused, vassal.waits_in = event.seq, None, None
    actions.append(Action("check", vassal.name, event.seq, vassal.spec.config))


def order_unchecked(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> None:
    """Have a spec checked that the policy barred until now: no check was ordered while it did."""
    if vassal.is_open or not has_preflight(fleet, vassal.spec):
        return
    if bar_reason(vassal.spec, fleet.policy, vassal.monitor) is None:
        order(vassal, event, actions)


def distrust(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions, reason: str) -> None:
    """The daemon met an error about its wanted spec, so no check of that was ordered.

    It counts as refused, so an operator's start has it checked first. Its text is not recorded.
    """
    cancel(vassal, actions)
    if rules.holds(fleet, rules.PREFLIGHT):
        vassal.bound = NOT_RECORDED if runs_file(vassal.spec) else ""
    if has_preflight(fleet, vassal.spec):
        refuse(vassal, event, reason)


def cancel(vassal: Vassal, actions: Actions) -> None:
    """Its wanted spec needs no check any more."""
    if vassal.check is not None:
        actions.append(Action("uncheck", vassal.name))
    settle(vassal)


def try_again(fleet: Fleet, vassal: Vassal, event: Event, actions: Actions) -> bool:
    """Have its refused spec tried again: True where that is its target at once."""
    trial.note_time(fleet, vassal, event)
    if has_preflight(fleet, vassal.spec):
        order(vassal, event, actions)
        return False
    settle(vassal)
    vassal.done = False
    return True


def settle(vassal: Vassal) -> None:
    """Its wanted spec is its target from now on."""
    vassal.check = vassal.refused = vassal.kept = vassal.waits_in = None
    if vassal.candidate is not None:
        vassal.candidate.tries = False


def turn_to(vassal: Vassal, before: Spec) -> None:
    """It has another target now than the one ``before``."""
    if vassal.restarts and vassal.aim.settings.get("command") != before.settings.get("command"):
        vassal.restarts = False  # another program may reload as it is told
    vassal.earliest = vassal.failed = vassal.late = None  # a fix of its config does not wait
    vassal.done = False  # the work that was over was that of the former one


def refuse(vassal: Vassal, event: Event, reason: str) -> None:
    """Its wanted spec may not run."""
    vassal.check = None
    vassal.refused = Refusal(event.seq, event.at, reason)
