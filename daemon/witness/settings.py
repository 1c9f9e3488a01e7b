"""The meaning of the options ``--witness``, ``--witness-every`` and ``--witness-key``.

A daemon without a witness does not import the code for one.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ...journal.errors import JournalError
from ...journal.locked_files import LockedFiles
from ...version import VERSION

if TYPE_CHECKING:
    from .targets import Target
    from .writer import Writer


def place(chosen: Mapping[str, Any]) -> "Target | None":
    """The place that ``--witness`` names. Raises UsageError."""
    if chosen["witness"] is None:
        return None
    from .targets import target

    try:
        return target(chosen["witness"], LockedFiles.of(chosen["journal"]))
    except ValueError as flaw:
        raise click.UsageError(f"--witness: {flaw}") from None


def writer(chosen: Mapping[str, Any], where: "Target | None") -> "Writer | None":
    """The task that writes there. Raises JournalError where the key cannot be used."""
    if where is None:
        return None
    from ...journal.signatures import signer
    from .writer import Interval, Writer

    key = chosen["witness_key"]
    try:
        sign = None if key is None else signer(key)
    except JournalError as error:
        raise JournalError(f"--witness-key {error}") from None
    name = chosen["witness"]
    return Writer(name, where, Interval(*chosen["witness_every"]), VERSION, sign)
