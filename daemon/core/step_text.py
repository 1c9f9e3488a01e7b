"""Texts for the steps that are due: of one vassal, and of all that wait."""

from collections.abc import Mapping
from typing import Final

from .fleet import UP


def step_text(step: str | None, phase: str, line: int | None) -> str:
    """The step of a vassal that waits; empty where none does, or its phase says so already.

    ``line`` is how many reloads and restarts wait for a slot, if this one does.
    """
    if step is None or phase not in UP or phase == "stopping":
        return ""
    if step == "start":
        return "its change waits for the next start"
    if line:
        return f"{step} waits ({line} in line)"
    return f"{step} waits for the end of its {'start' if phase == 'starting' else 'reload'}"


def check_text(
    check: int | None,
    refused: tuple[int, str] | None,
    phase: str,
    rolled_back: tuple[int, str] | None = None,
) -> str:
    """Why the wanted config does not run; empty where nothing keeps it, or its phase says so.

    ``check`` is the event that ordered the preflight under way, ``refused`` the event of the
    refusal and its reason, ``rolled_back`` those of a rollback.
    """
    if check is not None:
        return "" if phase == "queued" else f"its change is being checked (since event {check})"
    if rolled_back is not None:
        return f"its change was rolled back: {rolled_back[1]} (event {rolled_back[0]})"
    if refused is None or phase == "barred":
        return ""
    return f"its change was refused: {refused[1]} (event {refused[0]})"


_CANDIDATE: Final = {
    "starting": "a new instance starts beside it",
    "settling": "a new instance runs beside it, and takes over when it has settled",
    "ending": "its new instance is being stopped",
    "leaving": "its former instance is being stopped",
}


def candidate_text(phase: str, attempt: int) -> str:
    """The second attempt of a vassal, in a replacement, in words."""
    return f"{_CANDIDATE.get(phase, phase)} (attempt {attempt})"


def steps_text(steps: Mapping[str, int]) -> str:
    """The steps that wait, with their numbers; empty where none does."""
    told = [f"{count:,} {step}{'' if count == 1 else 's'}" for step, count in steps.items()]
    return f"{' and '.join(told)} wait{'s' if sum(steps.values()) == 1 else ''}" if told else ""
