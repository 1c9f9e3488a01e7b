"""Options that would have no effect beside the others: refused, with what to do."""

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource


def refuse(chosen: Mapping[str, Any]) -> None:
    """Refuse options that would be ignored. Raises UsageError."""
    if chosen["log"] == "inherit" and chosen["log_directory"] is not None:
        raise click.UsageError(
            "--log-directory is for --log files, and --log inherit keeps no logs: leave one out"
        )
    for name in ("log_size", "log_keep"):
        if chosen["log"] == "inherit" and _is_given(name):
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for --log files, and --log inherit keeps no logs:"
                " leave one out"
            )
    for name in ("output", "overwrite", "formation"):
        if chosen[name] and not chosen["migrate"]:
            raise click.UsageError(f"--{name} is for --migrate; give --migrate FILE, too")
    if chosen["witness"] is not None:
        return
    if chosen["witness_key"] is not None:
        raise click.UsageError("--witness-key signs what --witness writes; give --witness, too")
    if _is_given("witness_every"):
        raise click.UsageError(
            "--witness-every says how often --witness writes; give --witness, too"
        )


def _is_given(name: str) -> bool:
    """Whether the command line or the environment gives an option that has a default."""
    context = click.get_current_context()
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT
