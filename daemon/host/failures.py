"""The record of an error of the daemon's own (a bug) that is about one vassal.

Such an error must not end the daemon: a tenant that found one would end it for all, and again
after each restart. The vassal is barred, and the record names the place of the error. The text of
an error can quote a config or a URL, so secrets are removed from it. The trace has no values.
"""

import os
import traceback
from pathlib import Path
from typing import Final

import msgspec

from ...journal import chain
from ...journal.events import Announced, Body, Exited, SpawnFailed, Spec, VassalFailed
from ...monitors.names import shown
from ...monitors.urls import without_secrets
from ..core.blame import VassalFault, original
from ..core.draft import Draft
from ..core.fleet import Fleet

_LONGEST_REASON: Final = 500  # characters
_LONGEST_TRACE: Final = 3500  # characters; with the reason and the names less than 4 KiB
_ROOT: Final = str(Path(os.path.abspath(__file__)).parents[2])  # of the package


def failed(
    place: str, error: BaseException, *, spec: Spec | None = None, gone: int | None = None
) -> VassalFailed:
    """The body of ``vassal_failed``. A spec that cannot be recorded is left out."""
    error = original(error)
    if spec is not None and not can_be_recorded(spec):
        spec = None
    return VassalFailed(
        place=place, reason=reason_of(error), trace=_trace(error), spec=spec, gone=gone
    )


def reason_of(error: BaseException) -> str:
    """The error on one line, without secrets."""
    try:
        said = str(error)[: 2 * _LONGEST_REASON]
    except Exception:  # the class may be a library's, and its __str__ may raise
        said = ""
    text = f"{type(error).__name__}: {without_secrets(said)}" if said else type(error).__name__
    return shown(text)[:_LONGEST_REASON]


def alone(error: Exception) -> Exception:
    """The error that a nursery has in a group of one."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def describe(error: BaseException) -> str:
    """The error for the log, over several lines, without secrets."""
    error = original(error)
    return f"{reason_of(error)}\n{_trace(error)}"


def _trace(error: BaseException) -> str:
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), lookup_lines=False
    )
    lines = [f"{_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    return "\n".join(lines)[-_LONGEST_TRACE:]


def _place(file: str) -> str:
    return os.path.relpath(file, _ROOT) if file.startswith(_ROOT) else os.path.basename(file)


def can_be_recorded(value: object) -> bool:
    """Whether it has a canonical JSON: no lone surrogates, no numbers beyond 64 bits."""
    try:
        chain.text(value)
    except Exception:
        return False
    return True


def of_fold(fleet: Fleet, draft: Draft, seq: int | None, error: Exception) -> Draft | None:
    """The draft after one on which the fold raised; None where no vassal is to blame.

    ``fleet`` is the one before the draft, ``seq`` the number under which it stands in the record.
    """
    vassal = error.vassal if isinstance(error, VassalFault) else draft.vassal
    if not vassal:
        return None
    spec, gone, monitor = None, None, None
    body: Body = draft.body
    if vassal == draft.vassal:
        known = fleet.vassals.get(vassal)
        if isinstance(body, Announced) and (known is None or isinstance(error, VassalFault)):
            spec, monitor = body.spec, draft.monitor
        if isinstance(body, Exited | SpawnFailed):
            gone = body.attempt
    return Draft("vassal_failed", failed("fold", error, spec=spec, gone=gone), monitor, vassal, seq)


def also(draft: Draft, vassal: str) -> Draft | None:
    """A ``vassal_failed`` that bars another one, too; None if it is to bar that one already."""
    body = draft.body
    if not isinstance(body, VassalFailed) or vassal in (draft.vassal, *body.also):
        return None
    more = msgspec.structs.replace(body, also=(*body.also, vassal))
    return msgspec.structs.replace(draft, body=more)
