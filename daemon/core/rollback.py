"""Rollback: a change that fails again and again is taken back by itself.

A spec is *good* when the vassal has run well with it for a time (``trial.py``). ``Vassal.good``
keeps the last such spec while another one is tried. Failures of the wanted spec are counted from
its change on: deaths, starts that were not ready in time, lost heartbeats, and failed health
checks. When there are as many as ``rollback`` says, the good spec is the target again. The wanted
spec is then *refused* as by a preflight, and ``Refusal.rolled_back`` tells it apart.

So a program that accepts, and dies a moment later, again and again, goes back as well. Where there
is no way back, the first spec with which it accepts is good at once.

A rollback never loops. The good spec becomes the target of a vassal whose wanted spec may not run,
and failures of such a vassal are not counted. The wanted spec comes back by a change of it, or by
an operator's word.
"""

import msgspec

from ...journal.events import Event, Spec
from . import rules, target, trial
from .fleet import Fleet, Good, Refusal, Vassal
from .starts import bar_reason


def note_accepting(fleet: Fleet, vassal: Vassal) -> None:
    """It accepts. That is good at once, unless there is another spec to go back to."""
    good = vassal.good
    if good is not None and good.untried:
        if vassal.running == good.spec != vassal.target:
            vassal.good = Good(good.spec, good.bound)
            return
    elif good is not None and good.spec is not None and vassal.running != good.spec:
        limit = trial.rollback_limit(fleet.policy, vassal.spec)
        if limit and as_target(fleet, vassal, good.spec, good.bound) is not None:
            return
    trial.note_good(fleet, vassal)


def note_change(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """Its source is about to give it another spec. The good one is remembered, if one was noted.

    One with which it accepts, and has not failed, need not have run for long. One that is the first
    and does not accept yet may do so before the change gets to it.
    """
    if not vassal.wanted or vassal.monitor != event.monitor:
        vassal.good = None  # it comes back as a new one, or from another source
        return
    trial.note_time(fleet, vassal, event)
    good = vassal.good
    if good is not None and (good.spec is None or (not good.failures and _accepts(vassal))):
        vassal.good = Good(vassal.spec, vassal.bound)
    elif good is not None and good.failures:
        vassal.good = Good(good.spec, good.bound)
    elif (good is None or good.untried) and _starts(vassal) and rules.holds(fleet, rules.ROLLBACK):
        vassal.good = Good(vassal.spec, vassal.bound, untried=True)


def _starts(vassal: Vassal) -> bool:
    """Whether it starts or reloads with its wanted spec."""
    return vassal.phase in ("starting", "ready", "reloading") and _runs_wanted(vassal)


def _accepts(vassal: Vassal) -> bool:
    """Whether it is accepting with its wanted spec."""
    return vassal.phase == "accepting" and _runs_wanted(vassal)


def _runs_wanted(vassal: Vassal) -> bool:
    """Whether its process has its wanted spec, and that may run."""
    same = vassal.running is vassal.spec or vassal.running == vassal.spec
    return same and not vassal.is_open


def fails(
    fleet: Fleet, vassal: Vassal, event: Event, reason: str, *, for_good: bool = False
) -> bool:
    """Note that its process died or was not ready in time; True where its change is taken back.

    ``for_good``: it would not be tried again.
    """
    trial.note_time(fleet, vassal, event)
    good, most = vassal.good, trial.rollback_limit(fleet.policy, vassal.spec)
    if good is None or good.spec is None or good.untried or not most:
        return False
    if vassal.is_open or vassal.running != vassal.spec:
        return False  # that was not the changed spec
    failures = good.failures + 1
    vassal.good = msgspec.structs.replace(good, failures=failures)
    spec = as_target(fleet, vassal, good.spec, good.bound)
    if spec is None or (failures < most and not for_good):
        return False
    times = "" if failures == 1 else f"{failures} failures in a row, the last one: "
    take_back(vassal, event, spec, f"{times}{reason}")
    return True


def as_target(fleet: Fleet, vassal: Vassal, spec: Spec, bound: str = "") -> Spec | None:
    """The spec as it can be the target beside the wanted one; None where it cannot."""
    wanted = vassal.spec
    if (spec.uid, spec.gid) != (wanted.uid, wanted.gid) or spec.config is None:
        return None
    if bar_reason(spec, fleet.policy, vassal.monitor) is not None or _same(spec, wanted):
        return None
    if not target.runs_file(spec) or spec.copy:
        return spec
    return None if bound else msgspec.structs.replace(spec, copy=True)


def _same(one: Spec, other: Spec) -> bool:
    """Whether both run the same text, so that nothing would come of a rollback. A touch is such."""
    facts = (one.config, one.path, one.cwd, one.socket)
    return facts == (other.config, other.path, other.cwd, other.socket)


def take_back(vassal: Vassal, event: Event, spec: Spec, reason: str) -> None:
    """Have this spec as its target, in place of the wanted one."""
    before = vassal.aim
    vassal.check, vassal.waits_in, vassal.kept = None, None, spec
    vassal.refused = Refusal(event.seq, event.at, reason, rolled_back=True)
    vassal.good = Good(spec)
    vassal.deaths = 0
    target.turn_to(vassal, before)


def begin_anew(vassal: Vassal) -> None:
    """Its wanted spec is tried again: failures count from here on."""
    if vassal.good is not None:
        vassal.good = msgspec.structs.replace(vassal.good, failures=0)


def runs_target(vassal: Vassal) -> bool:
    """Whether its process runs the text and the settings of its target, copied or not."""
    ran, aim = vassal.running, vassal.target
    if ran is None or aim is None:
        return False
    return msgspec.structs.replace(ran, ts=aim.ts, attrs=aim.attrs, copy=aim.copy) == aim
