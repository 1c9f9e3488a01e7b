"""Short names of sources as an operator gives them: ``--name MONITOR=NAME``."""

from collections.abc import Iterable, Sequence

import click

from ..monitors import short_names
from ..monitors.names import shown
from ..monitors.registry import open_monitor
from ..monitors.urls import MonitorURLError


def given(told: Iterable[str], urls: Sequence[str]) -> dict[str, str]:
    """The names by URL. ``urls`` are those of the daemon's monitors. Raises BadParameter."""
    names: dict[str, str] = {}
    try:
        for text in told:
            monitor, equals, name = text.rpartition("=")
            if not equals or not monitor:
                raise short_names.BadName(f"{shown(text)}: write MONITOR=NAME")
            url = monitor if monitor in urls else open_monitor(monitor).url
            if url not in urls:
                raise short_names.BadName(f"{shown(url)} is none of the monitors that are given")
            if short_names.check(name) in names.values():
                raise short_names.BadName(f"two monitors are named {name}")
            names[url] = name
    except (short_names.BadName, MonitorURLError) as flaw:
        raise click.BadParameter(str(flaw), param_hint="--name") from None
    return names
