"""``emperor-ctl rollback``: to a former config, and back to the wanted one."""

import sys
from collections.abc import Sequence

import click

from ..cli.commandline import Command
from .format import as_json as json_option
from .orders import meant, names_and_all, run_order, timeout_option


@click.command("rollback", cls=Command)
@names_and_all
@click.option(
    "--to", metavar="SEQ|DIGEST",
    help="The event that brought the config, or the first 6 or more digits of its digest."
    "  [default: the last one before with which it was accepting]",
)  # fmt: skip
@click.option("--cancel", is_flag=True, help="Go back to the wanted config.")
@click.option("--reason", metavar="TEXT", default="", help="Why: it is recorded.")
@timeout_option
@click.option("--no-wait", is_flag=True, help="Do not wait: it is enough that it is recorded.")
@json_option
@click.pass_obj
def command(
    path: str, names: Sequence[str], everything: bool, to: str | None, cancel: bool, reason: str,
    timeout: float, no_wait: bool, as_json: bool,
) -> None:  # fmt: skip
    """Go back to a former config, which the journal has. Waits until vassals are ready with it.

    It stays so until the source changes the config, or --cancel. Application code does not go
    back. 'emperor-replay history NAME' has the events and digests. NAME is a vassal or a pattern
    ('app-*').
    """
    if cancel and to is not None:
        raise click.UsageError("--to and --cancel: give one of them at most")
    request = {"do": "rollback", **meant(names, everything), "wait": not no_wait}
    if to is not None:
        request["to"] = to
    if cancel:
        request["cancel"] = True
    if reason:
        request["reason"] = reason
    sys.exit(run_order(path, request, timeout, "rollback:", as_json))
