"""The monitors that the command line names, with the options that concern them."""

import os

from ..journal.locked_files import NO_JOURNAL, LockedFiles
from ..journal.policy import Policy
from ..monitors import defaults
from ..monitors.contract import Monitor
from ..monitors.named_files import NoConfig
from ..monitors.options import MonitorOptions
from ..monitors.registry import open_monitor
from ..monitors.urls import MonitorURLError
from .host import command, users


def open_monitors(
    texts: tuple[str, ...],
    decided: Policy,
    default_files: tuple[str, ...] = (),
    locked: LockedFiles = NO_JOURNAL,
) -> tuple[list[Monitor], list[NoConfig]]:
    """The monitors that were named, each once; and files that can be none.

    The expansion of a pattern by a shell may have such files. ``locked`` are those of the journal,
    which no monitor reads. Raises MonitorURLError, BadDefaults, OSError.
    """
    for_all = defaults.read(default_files)
    options = MonitorOptions(
        freq=decided.freq,
        extra_extension=decided.extra_extension,
        nofollow=decided.nofollow,
        tyrant=decided.tyrant,
        tyrant_nofollow=decided.tyrant_nofollow,
        tyrant_initgroups=decided.tyrant_initgroups,
        allow_link_local=decided.allow_link_local,
        on_demand_extension=decided.on_demand_extension,
        on_demand_directory=decided.on_demand_directory,
        on_demand_exec=decided.on_demand_exec,
        environment=lambda name, spec, tenant: command.inherited_variables(
            command.Inherited(os.environ), name, spec, users.of_tenant(tenant)
        ),
        templates=bool(
            decided.vassals_inherit
            or decided.vassals_include
            or decided.vassals_inherit_before
            or decided.vassals_include_before
        ),
        locked=locked,
    )
    by_url: dict[str, Monitor] = {}
    no_configs: list[NoConfig] = []
    for text in dict.fromkeys(texts):
        try:
            monitor = open_monitor(text, options)
        except NoConfig as flaw:
            no_configs.append(flaw)
            continue
        # They differ in a secret only, and secrets are not journaled.
        if monitor.url in by_url and "@" in text:
            raise MonitorURLError(f"{monitor.url}: named twice; give it once")
        by_url[monitor.url] = defaults.given(monitor, for_all)
    return list(by_url.values()), no_configs
