"""The state that dir:// or glob:// told last, and the observations that follow from a new look."""

from collections.abc import Iterable

import trio

from .. import names
from ..contract import Listing, Observation, Refused, Seen, Touched, Vanished
from .allowance import Allowance
from .changes import Changes
from .file_state import Absent, FileState, Found, Record, Unsettled
from .scan import Scan
from .single_files import FileStates
from .survey import Survey


class ReportedState:
    """The state that was told last. It decides whether a new look is news."""

    def __init__(self, allowance: Allowance, changes: Changes) -> None:
        self._allowance = allowance
        self._changes = changes
        self.records: dict[str, Record] = {}
        self._refused: dict[str, str] = {}
        self.device: int | None = None  # of the root when it last had vassals
        self.is_listed = False  # this run has told all at least once
        self._again: Listing | None = None  # of ``records``, as long as none of them changes

    # All at once

    def listing(self, survey: Survey) -> Listing:
        """The listing that a rescan amounts to."""
        found = survey.found
        refused = found.refused
        if not self.is_listed:
            # Nothing is known of these from an earlier look, yet something is there.
            refused |= dict.fromkeys(map(names.shown, found.waiting), "it is being written")
        if self._refused:
            # A file that is written all the time is refused as before, and that is no news.
            for label in map(names.shown, found.kept):
                if label in self._refused:
                    refused.setdefault(label, self._refused[label])
        for name in found.fresh if self.is_listed else ():
            self._charge(name, found.seen[name])
        self.is_listed = True
        self._again = None
        self.records = found.records
        self._refused = dict(refused)
        if found.records:
            self.device = survey.device
        return Listing(found.seen, refused)

    def again(self) -> Listing:
        """The listing of files that are all as they were told: the same one each time."""
        if self._again is None:
            self._again = Listing({name: record.seen for name, record in self.records.items()})
        return self._again

    def settle(self, found: Scan, looked: Iterable[str]) -> None:
        """These names were looked at during the rescan. That look counts, not what it found."""
        for name in looked:
            found.revert(name)
            found.put_off.pop(name, None)
            label = names.shown(name)
            found.refused.pop(label, None)
            if label in self._refused:
                found.refused[label] = self._refused[label]

    # Single files

    def observations(self, states: FileStates, changed: set[str]) -> list[Observation]:
        """The observations of single files; those that changed meanwhile are left out."""
        self._again = None
        observations: list[Observation] = []
        for name, state in states.items():
            if name not in changed:
                self._changes.unfinished.pop(name, None)
                self._one(name, state, observations)
        return observations

    def _one(self, name: str, state: FileState | str, observations: list[Observation]) -> None:
        changes = self._changes
        if isinstance(state, Absent):
            self._gone(name, observations)
            return
        changes.missing.pop(name, None)
        if isinstance(state, Found):
            seen = Seen(state.record.seen.spec, state.content)
            # It may be as it was told before something else was refused.
            refused = self._refused.pop(names.shown(name), None)
            if self._charge(name, seen) or refused is not None:
                observations.append(Touched(name, seen))
            self.records[name] = state.record
        elif isinstance(state, Unsettled) and state.reason:
            changes.later[name] = self._allowance.room_at(name, trio.current_time())
            self._refuse(name, state.reason, observations)
        elif isinstance(state, Unsettled):
            changes.unfinished[name] = trio.current_time()
        else:
            reason = state if isinstance(state, str) else f"it cannot be read: {state.reason}"
            self._refuse(name, reason, observations)

    def _refuse(self, name: str, reason: str, observations: list[Observation]) -> None:
        label = names.shown(name)
        if self._refused.get(label) != reason:
            self._refused[label] = reason
            observations.append(Refused(label, reason))

    def _charge(self, name: str, seen: Seen) -> bool:
        """Whether it differs from the state told last; if so, the file's allowance is charged."""
        known = self.records.get(name)
        if known is not None and known.seen.spec == seen.spec:
            return False
        self._allowance.charge(name, len(seen.content or b""), trio.current_time())
        return True

    def _gone(self, name: str, observations: list[Observation]) -> None:
        if name not in self.records:
            self._changes.missing.pop(name, None)
        elif self._changes.is_gone(name, trio.current_time()):
            del self.records[name]
            observations.append(Vanished(name, "the file is gone"))
