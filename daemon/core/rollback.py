"""Rollback: a change that fails again and again is taken back by itself.

A spec is *good* when the vassal has been accepting with it. ``Vassal.good`` keeps the last such
spec while another one is wanted. Failures of the wanted spec are counted from its change on:
deaths, starts that were not ready in time, lost heartbeats, and failed health checks. When there
are as many as ``rollback`` says, the good spec is the target again. The wanted spec is then
*refused* as by a preflight, and ``Refusal.rolled_back`` tells it apart.

A program of which the daemon cannot tell that it accepts is good after ``start_patience``. It is
seen at the next event that matters: a change, or a failure.

A rollback never loops. The good spec becomes the target of a vassal whose wanted spec may not run,
and failures of such a vassal are not counted. The wanted spec comes back by a change of it, or by
an operator's word.
"""

from typing import Final

import msgspec

from ...journal.events import Event, Spec
from . import rules, target
from .fleet import Fleet, Good, Refusal, Vassal
from .reloads import awaits_ready, tells
from .starts import bar_reason
from .steps import seconds

_WANTED: Final = Good()  # the wanted spec is good


def note_good(fleet: Fleet, vassal: Vassal) -> None:
    """It accepts, or has become loyal, or has run for long enough."""
    ran, aim = vassal.running, vassal.target
    if ran is None or not rules.holds(fleet, rules.ROLLBACK):
        return
    if ran is aim or ran == aim:  # mostly it is the same object, and no field is compared
        vassal.good = Good(ran) if vassal.is_open else _WANTED


def note_change(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """Its source is about to give it another spec. The good one is remembered, if one was noted."""
    if not vassal.wanted or vassal.monitor != event.monitor:
        vassal.good = None  # it comes back as a new one, or from another source
        return
    _note_quiet(fleet, vassal, event)
    good = vassal.good
    if good is not None and good.spec is None:
        vassal.good = Good(vassal.spec, vassal.bound)
    elif good is not None and good.failures:
        vassal.good = Good(good.spec, good.bound)


def fails(
    fleet: Fleet, vassal: Vassal, event: Event, reason: str, *, for_good: bool = False
) -> bool:
    """Note that its process died or was not ready in time; True where its change is taken back.

    ``for_good``: it would not be tried again.
    """
    good, most = vassal.good, target.rollback_limit(fleet.policy, vassal.spec)
    if good is None or good.spec is None or not most:
        return False
    if vassal.is_open or vassal.running != vassal.spec:
        return False  # that was not the changed spec
    if _note_quiet(fleet, vassal, event):
        return False
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


def _note_quiet(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Note that it is good where it cannot say so, and has run for ``start_patience``."""
    if vassal.phase != "ready" or tells(vassal) or awaits_ready(vassal):
        return False
    if event.at - vassal.since < seconds(fleet.policy.start_patience):
        return False
    note_good(fleet, vassal)
    return vassal.running == vassal.target
