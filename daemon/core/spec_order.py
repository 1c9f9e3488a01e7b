"""The order of the entries in a spec's mappings: that of their keys, as an event's body has it.

The order in which a config has its settings decides nothing. A daemon that kept it would remember
another fleet than the journal tells: snapshots and checkpoints would differ from a full fold.
"""

import msgspec

from ...journal.events import Spec


def in_order(spec: Spec) -> Spec:
    """The spec with its mappings in the order of their keys."""
    mappings = {"settings": spec.settings, "attrs": spec.attrs, "own_settings": spec.own_settings}
    unsorted = {
        field: sorted_mapping(each)
        for field, each in mappings.items()
        if each is not None and len(each) > 1 and list(each) != sorted(each)
    }
    return msgspec.structs.replace(spec, **unsorted) if unsorted else spec


def sorted_mapping(mapping: dict[str, str]) -> dict[str, str]:
    """The mapping in the order of its keys."""
    return dict(sorted(mapping.items()))
