"""Held readings: a vassal that runs keeps its settings, though its text is read otherwise now.

A new version may read the section of the same text otherwise. An upgrade ends no vassal, so the
observer holds such a change back. The next start is another matter: by the former reading it could
be root's. So the change is told just before the event that could lead to another start: an end, or
an operator's order. The next listing would be too late, because the fold orders a start at once.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from ...journal.events import Announced, Spec
from ..core import target
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..core.fold import has_effect
from ..core.spec_order import in_order
from .differences import read_otherwise
from .rejections import Rejections

_RUNS: Final = ("starting", "ready", "accepting", "reloading")  # phases
_ENDS: Final = ("exited", "spawn_failed")
_GONE: Final = ("vassal_removed", "vassal_destroyed")


class _Held(NamedTuple):
    """The spec that a vassal has, and the one that its source gives. Only the settings differ."""

    url: str
    old: Spec
    new: Spec


class HeldReadings:
    """The readings that are held back, by vassal."""

    def __init__(self, rejections: Rejections) -> None:
        self._rejections = rejections
        self._held: dict[str, _Held] = {}

    def hold(self, vassal: Vassal, spec: Spec) -> str | None:
        """Hold a change of settings back, and return why. None where it counts at once.

        A vassal that has another change under way could be started without an end of it.
        """
        moves = vassal.due or vassal.candidate or vassal.check or vassal.waits_in
        if vassal.phase not in _RUNS or moves:
            return None
        now = read_otherwise(vassal.spec, spec)
        if now is None:
            return None
        self._held[vassal.name] = _Held(vassal.monitor, vassal.spec, spec)
        return (
            f"this version reads the same config otherwise ({now}); it runs on as before until it"
            " ends, an operator reloads it, or its config or ts changes"
        )

    def drop(self, url: str, name: str) -> None:
        """The source tells anew of this vassal."""
        held = self._held.get(name)
        if held is not None and held.url == url:
            del self._held[name]

    def due(self, fleet: Fleet, draft: Draft) -> list[Draft]:
        """The changes that are to be folded before this draft.

        They stay held as long as the fleet does not have them: a turn may be given up.
        """
        if not self._held:
            return []
        if draft.kind in _GONE:
            self._held.pop(draft.vassal or "", None)
        names: Iterable[str] = self._held if draft.vassal is None else (draft.vassal,)
        due: list[Draft] = []
        for name in names:
            held, vassal = self._held.get(name), fleet.vassals.get(name)
            if held is None or vassal is None or vassal.spec != held.old:
                continue
            if vassal.wanted and vassal.monitor == held.url and _may_start(vassal, draft):
                self._rejections.forget(vassal.monitor, name)
                due.append(_told(vassal, held.new))
        return due


def _may_start(vassal: Vassal, draft: Draft) -> bool:
    """Whether a start of the vassal may follow from this draft."""
    body: Any = draft.body
    if draft.kind in _ENDS:
        return bool(body.attempt == vassal.attempt)
    if draft.kind != "operator_requested" or body.request == "stop":  # its end comes later
        return False
    return has_effect(body.request, vassal)


def _told(vassal: Vassal, spec: Spec) -> Draft:
    runs_file = target.runs_file(spec) and spec.bar is None
    bound = vassal.bound if runs_file else ""
    body = Announced(spec=in_order(spec), change="settings", bound=bound)
    return Draft("vassal_changed", body, vassal.monitor, vassal.name)
