"""The subcommands of a click command, those too that are imported when they are asked for."""

import click


def subcommands(command: click.Command) -> dict[str, click.Command]:
    """Each subcommand by its name; none of a command that is no group."""
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: inner for name, inner in found.items() if inner is not None}
