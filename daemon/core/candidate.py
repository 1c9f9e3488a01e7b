"""The second attempt of a vassal in a replacement (``reload = replace``).

A replacement starts a new instance beside the one that serves. Two attempts of one vassal live
then, and only then. The second is a record of its own, so the big table knows nothing of it.
``candidate_table.py`` has a small table for it, and ``replacement.py`` the steps.

It is a candidate as long as it is *starting* or *settling*. When it has settled, both change
places. The vassal's own facts are those of the new attempt then. The record here is that of the old
one, which is *leaving*. A candidate that failed, or is not wanted any more, is *ending*.
"""

from typing import Final, Literal

import msgspec

from ...journal.events import Spec

CandidatePhase = Literal[
    "starting",  # spawn ordered; it is not ready yet
    "settling",  # ready; it has to run well for replace-settle
    "ending",  # it is stopped, and the old instance serves as before
    "leaving",  # the old instance, whose place the candidate has taken, is stopped
]
CANDIDATE_PHASES: Final[tuple[CandidatePhase, ...]] = ("starting", "settling", "ending", "leaving")


class Candidate(msgspec.Struct, omit_defaults=True):
    """The second attempt. Its fields mean what those of ``Vassal`` mean.

    ``changes``: it has another spec than the instance that it is to replace. ``tries``: whether the
    wanted spec may run depends on it. ``due``: it is to be reloaded when it has taken over.
    """

    phase: CandidatePhase
    since: int
    because: int
    attempt: int
    order: int
    running: Spec
    launched: int
    deadline: int | None = None
    reason: str | None = None
    changes: bool = False
    tries: bool = False
    due: bool = False
    pid: int | None = None
    start_time: int | None = None
    mark: str | None = None
    control: bool = True
    speaks: bool = True
    loyal: bool = False
    heartbeat: bool = False
    slot: bool = False
    slot_of: str | None = None
    own_user: bool = False
    user: tuple[int, int] | None = None
    killed: str | None = None

    @property
    def is_tried(self) -> bool:
        """Whether it may still take the place of the old instance."""
        return self.phase in ("starting", "settling")
