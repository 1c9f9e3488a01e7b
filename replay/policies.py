"""The settings that ``simulate`` can change: names, units, and what may have been meant."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import click
import msgspec

from ..daemon.cli.nearest import did_you_mean, nearest_words
from ..daemon.cli.option_types import duration, milliseconds, rollout_size, size, whole
from ..journal.policy import Policy
from ..monitors.rollback import MOST as MOST_FAILURES

_KINDS: Final[dict[str, Callable[[str], Any]]] = {
    "throttle": milliseconds(0),
    "max-throttle": milliseconds(),
    "forgive": duration(0),
    "required-heartbeat": duration(),
    "mercy": duration(),
    "max-starting": whole(),
    "start-patience": duration(),
    "rollback": whole(0, MOST_FAILURES),
    "rollout": rollout_size,
    "rollout-failures": whole(),
    "record-budget": size(),
}
_OTHER_NAMES: Final = {"curse-tolerance": "mercy"}
_OPTIONS: Final = frozenset(
    field.name.replace("_", "-") for field in msgspec.structs.fields(Policy)
)


def changes(told: Sequence[str]) -> dict[str, Any]:
    """The fields of the policy that ``--set KEY=VALUE`` changes. Raises BadParameter."""
    found: dict[str, Any] = {}
    for each in told:
        key, equals, value = each.partition("=")
        key = key.strip().removeprefix("--").replace("_", "-")
        key = _OTHER_NAMES.get(key, key)
        if key not in _KINDS:
            raise click.BadParameter(_unknown(key), param_hint="--set")
        if not equals or not value.strip():
            raise click.BadParameter(f"write {key}=VALUE", param_hint="--set")
        try:
            found[key.replace("-", "_")] = _KINDS[key](value)
        except click.BadParameter as wrong:
            raise click.BadParameter(f"{key}: {wrong.message}", param_hint="--set") from None
    if "max_starting" in found:
        found["max_starting_ceiling"] = 0  # that many, whatever the pressure
    return found


def _unknown(key: str) -> str:
    if key in _OPTIONS:
        return (
            f"{key} cannot be simulated, because the journal does not tell what it would have"
            f" changed; there are {', '.join(_KINDS)}"
        )
    near = nearest_words(key, [*_KINDS, *_OTHER_NAMES])
    others = did_you_mean(near[:1]) or f"there are {', '.join(_KINDS)}"
    return f"there is no setting {key!r}; {others}"
