"""The path of a file that the daemon is asked to write: it has another working directory."""

import os

import click


def absolute(file: str, named: str) -> str:
    """The whole path of a file that is given as ``named``. Raises click.BadParameter."""
    if not file:
        raise click.BadParameter("is empty; give the path of a new file", param_hint=named)
    try:
        return os.path.abspath(file)
    except FileNotFoundError:
        raise click.BadParameter(
            "the working directory was removed; give an absolute path", param_hint=named
        ) from None
