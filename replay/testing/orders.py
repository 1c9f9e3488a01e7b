"""Actions in few words, so that a test compares them with what a person would write."""

from collections.abc import Sequence

from ...daemon.core.actions import Action


def orders_of(actions: Sequence[Action]) -> list[str]:
    """Each action as its order and its vassal: ``spawn a.ini``."""
    return [f"{action.do} {action.vassal}" for action in actions]
