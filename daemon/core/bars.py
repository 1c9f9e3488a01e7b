"""Bars: why a vassal of a spec may not run at all, by the policy and by its source."""

from typing import Final

from ...journal.events import Spec
from ...journal.policy import Policy

_NO_ID: Final = 2**32 - 1


def bar_reason(spec: Spec, policy: Policy, source: str) -> str | None:
    """Why a vassal with this spec, of this source, may not run, or None."""
    if spec.bar is not None:
        return spec.bar
    if "user" in spec.settings and (policy.tyrant or policy.user is not None):
        decides = "in tyrant mode its source says" if policy.tyrant else "--user says"
        return f"[emperor] user: {decides} whom it runs as; remove user and group"
    if policy.tyrant:
        for what, number in (("uid", spec.uid), ("gid", spec.gid)):
            # -1, in whatever guise, would leave the process as it is: root's.
            if number is None or not 0 < number < _NO_ID:
                gives = f"no {what}" if number is None else f"{what} {number}"
                return (
                    f"tyrant mode: {source} gives {gives};"
                    " to run, it needs a uid and a gid that are not root's"
                )
    return None
