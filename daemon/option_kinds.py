"""An option of ``emperor``, with all of its names, and the type of its monitors.

Its own name is the first. It is also taken under uWSGI's, from the environment, and from the file
of ``--config``. An error names the place that has the wrong value.
"""

import os
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from . import config_file
from .cli import completion

Decorator = Callable[[Any], Any]


class _Option(click.Option):
    """Shows its own names only; the help tells once of uWSGI's names. Takes no empty text."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        # An empty path is the working directory, an empty ending is that of every file.
        if value == "" or (isinstance(value, list | tuple) and "" in value):
            text = "it is empty; give a value, or leave the option out"
            raise click.BadParameter(text, ctx=ctx, param=self)
        return super().process_value(ctx, value)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """The place of a wrong value: the option, or its name in the environment or the file."""
        given = None if ctx is None else ctx.get_parameter_source(str(self.name))
        if given is ParameterSource.ENVIRONMENT:
            names = [each for each in self.envvar or () if os.environ.get(each)]
            return f"{names[0] if names else self.opts[0]} in the environment"
        if given is ParameterSource.DEFAULT_MAP:
            return f"{self.opts[0].removeprefix('--')} in the file of --config"
        return self.opts[0]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if completion.is_path(self):
            return completion.files(ctx, self, incomplete)
        return super().shell_complete(ctx, incomplete)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        names = self.opts
        self.opts = [name for name in names if not name.startswith("--emperor-")]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


class Monitors(click.types.StringParamType):
    """Monitors; in the environment between blanks, but URLs may hold some: those, one a line."""

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "Give a directory, a pattern or a URL, as in 'emperor /etc/vassals'"

    def split_envvar_value(self, rv: str) -> list[str]:
        if "://" not in rv:
            return rv.split()
        return [line.strip() for line in rv.splitlines() if line.strip()]


def option(*names: str, **settings: Any) -> Decorator:
    """An option under our name (the first), uWSGI's, and in the environment."""
    own = names[0].removeprefix("--")
    # The environment knows it by all of its names, ours first.
    variables = list(dict.fromkeys(f"EMPEROR_{config_file.plain(name).upper()}" for name in names))
    return click.option(
        *names, f"--emperor-{own}", own.replace("-", "_"), cls=_Option, envvar=variables, **settings
    )
