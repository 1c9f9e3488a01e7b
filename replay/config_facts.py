"""Which config a vassal runs, which one is wanted, and what is due: facts of ``why``."""

from collections.abc import Iterator

from ..daemon.cli.digests import short
from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.running import (
    due_text,
    in_line,
    is_behind,
    running_config,
    second_text,
    unchecked_text,
)
from ..monitors.names import shown


def config_facts(vassal: Vassal, fleet: Fleet) -> Iterator[tuple[str, str]]:
    """Labels and texts; one where the process has what is wanted, or there is no process."""
    unchecked = unchecked_text(vassal, fleet.rollouts)
    if unchecked is not None:
        yield _label(vassal), shown(unchecked)
    second = second_text(vassal)
    if second is not None:
        yield "replacement", second
    wanted = f"{short(vassal.spec.config)}, from {shown(vassal.monitor)}"
    if not is_behind(vassal):
        yield "config", wanted
        return
    runs = running_config(vassal)
    yield "runs", "an unknown config" if runs is None else short(runs)
    yield "wanted", wanted
    step = due_text(vassal, in_line(fleet))
    if step is not None:
        yield "due", step


def _label(vassal: Vassal) -> str:
    """The part of a deploy that keeps a wanted config from running."""
    if vassal.refused is not None and vassal.refused.rolled_back:
        return "rollback"
    if vassal.waits_in is not None:
        return "rollout"
    return "preflight" if "preflight" in vassal.spec.settings else "refused"
