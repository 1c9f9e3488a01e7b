"""The options of rollouts, as those of ``option_groups.py``."""

from ..journal.policy import Policy
from .cli.option_types import rollout_size, whole
from .option_kinds import Decorator, option


def rollouts() -> list[Decorator]:
    """How changes that come together are carried out."""
    return [
        option(
            "--rollout",
            type=rollout_size,
            metavar="SIZE",
            show_default="all at once",
            help="Carry out the changes of a source a few at a time: at most SIZE vassals, a number"
            " or per cent of the source's (10%). rollout=SIZE in a monitor's URL is for that one.",
        ),
        option(
            "--rollout-failures",
            type=whole(),
            default=Policy().rollout_failures,
            metavar="N",
            show_default=True,
            help="After so many failures the rest of such a rollout keeps its former configs, until"
            " 'emperor-ctl rollout continue' or the next change.",
        ),
    ]
