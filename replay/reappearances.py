"""A vassal that comes back after its removal: the config that it had, and when it had this one.

A removal ends a vassal, so a deploy that brings it back has no config before. People ask for it
nevertheless: is it the same text, or an older one?
"""

from typing import Any, Final

import msgspec

from ..daemon.cli.digests import short
from ..daemon.core.deploys import Deploy
from ..journal.deploys import DEPLOYED
from ..journal.reading import Reader

_GONE: Final = ("vassal_removed", "vassal_destroyed")
_SAME: Final = (
    "SELECT seq FROM event WHERE vassal = ? AND seq < ? AND kind IN (?, ?) AND json_valid(body)"
    " AND json_extract(body, '$.spec.config') = ? ORDER BY seq DESC LIMIT 1"
)


class Reappearance(msgspec.Struct, frozen=True):
    """The removal (its number) before a deploy, the config until then, and a deploy of this one."""

    removed: int
    config: str | None
    same_as: int | None  # the last deploy with the same config, if there was one


def reappearance(reader: Reader, deploy: Deploy) -> Reappearance | None:
    """The removal that a deploy takes back; None where the name is new or was there."""
    if deploy.kind != "vassal_added" or deploy.previous is not None:
        return None
    gone = reader.last_of(deploy.vassal, _GONE, deploy.seq - 1)
    before = None if gone is None else reader.last_of(deploy.vassal, DEPLOYED, gone[0])
    if gone is None or before is None:
        return None
    body: Any = reader.decode(before).body
    same = None
    if deploy.config is not None:
        rows = reader.fetch(_SAME, deploy.vassal, deploy.seq, *DEPLOYED, deploy.config)
        same = rows[0][0] if rows else None
    return Reappearance(gone[0], body.spec.config, same)


def text(back: Reappearance, config: str | None) -> str:
    """``757e0d1c2b3a (removed, 134) -> a3ea5f607182 (as in event 8)``."""
    before = f"{short(back.config)} (removed, {back.removed}) -> {short(config)}"
    return before if back.same_as is None else f"{before} (as in event {back.same_as})"
