"""The config that runs, the config that is wanted, and the step that is due between them.

A vassal's *wanted* config is its ``spec``, as its source described it last. The *running* one is
the config that its process has loaded:

- It is the config of the spawn, from the order to start on.
- An order to reload changes nothing yet. The vassal's byte 5 (it accepts) confirms it.
- A program that is reloaded by a signal confirms nothing. Its new config counts as running a second
  after the signal, when the fold takes it for ready again.
- An adopted process runs what it ran for the daemon before. One that is taken over after the loss
  of a journal runs what the keeper remembers, or an unknown config.
- A uWSGI that does not accept within ``--start-patience`` of its reload keeps its former config
  here until it accepts: the new one is not confirmed.

All of it is derived from the fleet, so no decision depends on it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from .fleet import UP, Fleet, Vassal
from .reloads import needs_restart, tells, way_to_reload
from .rollout import Rollout
from .rollout_text import part_of, part_text
from .step_text import candidate_text, check_text, step_text, steps_text

Due = Literal["start", "reload", "restart"]
_WAITS: Final = ("queued", "throttled")  # for a start


def running_config(vassal: Vassal) -> str | None:
    """The digest of the config that its process has loaded; None without one, or unknown."""
    if vassal.attempt is None or vassal.running is None:
        return None
    if vassal.phase == "reloading":
        return vassal.loaded if vassal.control else None
    if vassal.loaded is not None and (tells(vassal) or not vassal.speaks):
        return vassal.loaded
    if vassal.mark is not None and vassal.loaded is None:
        return None  # it was taken over, and what it runs is not known
    # 0.1.0 did not note it, and a lost control socket confirms nothing: the last order counts.
    return vassal.running.config


def is_behind(vassal: Vassal) -> bool:
    """Whether its process runs another config than the wanted one."""
    return vassal.attempt is not None and running_config(vassal) != vassal.spec.config


def due(vassal: Vassal) -> Due | None:
    """The next step to what is wanted that has not begun; None where none is due.

    ``start``: it waits for its start. Of one that runs with ``reload = none``, its change does.
    """
    if vassal.phase in _WAITS:
        return "start"
    if vassal.phase == "stopping":
        return "start" if vassal.wanted and not vassal.held else None
    if vassal.phase not in UP:
        return None
    way = way_to_reload(vassal)
    if vassal.due:
        restarts = way == "restart" or (needs_restart(vassal) and way != "replace")
        return "restart" if restarts else "reload"
    if way == "none" and vassal.phase != "reloading" and is_behind(vassal):
        return "start"
    return None


def waits_in_line(vassal: Vassal) -> bool:
    """Whether its reload or restart waits for a slot. Not so before it has started."""
    return vassal.due and not vassal.slot


def in_line(fleet: Fleet) -> int:
    """How many reloads and restarts wait for a slot."""
    return sum(map(waits_in_line, fleet.vassals.values()))


def due_text(vassal: Vassal, line: int) -> str | None:
    """The step that is due, in words; ``line`` reloads and restarts wait for a slot."""
    return step_text(due(vassal), vassal.phase, line if waits_in_line(vassal) else None) or None


def unchecked_text(vassal: Vassal, rollouts: Mapping[int, Rollout]) -> str | None:
    """Why its wanted config does not run, in words: a line, a check, a refusal, a rollback."""
    if (waits := part_text(part_of(vassal, rollouts))) != "":
        return waits
    refused, back = vassal.refused, None
    told = None if refused is None else (refused.seq, refused.reason)
    if refused is not None and refused.rolled_back:
        told, back = None, told
    return check_text(vassal.check, told, vassal.phase, back) or None


def second_text(vassal: Vassal) -> str | None:
    """The second attempt that it has in a replacement, in words."""
    second = vassal.candidate
    return None if second is None else candidate_text(second.phase, second.attempt)


def waiting_steps(vassals: Iterable[Vassal]) -> dict[str, int]:
    """How many reloads and restarts wait, by step; only those of which some do."""
    return dict(sorted(Counter(filter(None, (due(v) for v in vassals if v.due))).items()))


def waiting_text(vassals: Iterable[Vassal]) -> str:
    """The reloads and restarts that wait, with their numbers; empty where none does."""
    return steps_text(waiting_steps(vassals))
