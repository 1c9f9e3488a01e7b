"""How many vassals of each source change at once: ``--rollout``, and ``rollout=`` of a monitor.

``rollout=`` stands at the end of a monitor, as an option of its URL: ``dir:///etc/vassals?rollout=2``.
It is taken away before the monitor is opened, so a source has the same name with it and without.
"""

import contextlib
import re
from collections.abc import Iterable
from typing import Final

import click
import msgspec

from ..journal.policy import Policy
from ..monitors.named_files import NoConfig
from ..monitors.names import shown
from ..monitors.registry import open_monitor
from ..monitors.urls import MonitorURLError, without_secrets
from .cli.option_types import rollout_size

_OPTION: Final = re.compile(r"([?&])rollout=([^&]*)(&|\Z)")


def parted(texts: Iterable[str], decided: Policy) -> tuple[tuple[str, ...], Policy]:
    """The monitors without that option, and the policy with the sizes of those that had it.

    Raises MonitorURLError.
    """
    left: list[str] = []
    sizes: dict[str, str] = {}
    for text in texts:
        found = _OPTION.search(text)
        if found is None:
            left.append(text)
            continue
        before, given, after = found.groups()
        rest = text[: found.start()] + (before if after else "") + text[found.end() :]
        left.append(rest)
        with contextlib.suppress(NoConfig):
            sizes[open_monitor(rest).url] = _size(rest, given)
    return tuple(left), msgspec.structs.replace(decided, rollout_of=tuple(sorted(sizes.items())))


def _size(monitor: str, given: str) -> str:
    try:
        return rollout_size(given.replace("%25", "%"))
    except click.BadParameter as flaw:
        raise MonitorURLError(
            f"{shown(without_secrets(monitor))}: rollout={shown(given)}: {flaw.message}"
        ) from None
