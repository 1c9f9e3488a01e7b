"""The meaning of the options ``--witness``, ``--witness-every`` and ``--witness-key``."""

from collections.abc import Mapping
from typing import Any

import click

from ...journal.errors import JournalError
from ...journal.signatures import signer
from ...version import VERSION
from .targets import Target, target
from .writer import Interval, Writer


def place(chosen: Mapping[str, Any]) -> Target | None:
    """The place that ``--witness`` names. Raises UsageError."""
    if chosen["witness"] is None:
        return None
    try:
        return target(chosen["witness"])
    except ValueError as flaw:
        raise click.UsageError(f"--witness: {flaw}") from None


def writer(chosen: Mapping[str, Any], where: Target | None) -> Writer | None:
    """The task that writes there. Raises JournalError where the key cannot be used."""
    if where is None:
        return None
    key = chosen["witness_key"]
    try:
        sign = None if key is None else signer(key)
    except JournalError as error:
        raise JournalError(f"--witness-key {error}") from None
    name = chosen["witness"]
    return Writer(name, where, Interval(*chosen["witness_every"]), VERSION, sign)
