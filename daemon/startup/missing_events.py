"""Signs that a journal lacks events, at a start whose keeper knows of none.

The keeper that knew the last event may have died, with its daemon. Two signs are left of it:

- the file of the identity's lock, in the runtime directory. The daemon writes each last event that
  is durable into it, and removes it when it has stopped;
- the marks of processes that run. The number of an attempt is that of the event which ordered it,
  so that event was durable when the process was started.

A journal that ends before that was cut, or its files were replaced by older ones. An operator who
had an estranged daemon go on without the lost events has decided about those processes. The event
``journal_adopted`` says up to which number.

In tyrant mode, and with ``--user``, marks are no sign. A tenant can run a process with any mark.
"""

from collections.abc import Iterator

from ...journal.store import Head, Journal
from ..core.fleet import Fleet
from ..host import procfs
from .identity import UNKNOWN, Holder, estrangement, short


def lacking(journal: Journal | None, fleet: Fleet, holder: Holder) -> Head | None:
    """The event that should be in this journal, and is not; None if there is no sign of one."""
    head = None if journal is None else journal.head
    if journal is None or head is None:
        return None
    told = holder.told(head.identity)
    if told is not None and estrangement(journal, told) is not None:
        return told
    if fleet.policy.tyrant or fleet.policy.user is not None:
        return None
    seq, at = max(_attempts(head.identity), default=(0, 0))
    if seq <= head.seq or seq <= journal.adopted_upto():
        return None
    return Head(head.identity, seq, UNKNOWN, at)


def _attempts(identity: bytes) -> Iterator[tuple[int, int]]:
    """Number and time of the attempts of which processes run, below no other emperor."""
    for pid in procfs.of_journal(short(identity)):
        number, at = [*(procfs.mark_of(pid) or "").split(".", 2), "", ""][:2]
        if number.isdecimal() and at.isdecimal() and procfs.foreign(pid) is None:
            yield int(number), int(at)
