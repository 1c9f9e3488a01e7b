"""The last spec with which a vassal was accepting, to which a change that fails is rolled back."""

import msgspec

from ...journal.events import Spec


class Good(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A vassal has been accepting. ``spec`` is None where that was with its wanted spec.

    ``bound`` is why the text of ``spec`` cannot be run from a copy. ``failures`` counts those of
    the last change, in a row. ``untried``: it has not been accepting with ``spec`` yet, which its
    process runs. There is no way back to it before.
    """

    spec: Spec | None = None
    bound: str = ""
    failures: int = 0
    untried: bool = False
