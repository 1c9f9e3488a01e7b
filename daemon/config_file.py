"""The file that ``--config`` names: YAML, with the names of the options.

``emperor`` is a section with options in it, or, as in uWSGI's own configs, names monitors. uWSGI's
magic variables are expanded in monitors that are paths, as in uWSGI's own configs. A URL of a
server stays as it is: there ``%d0`` is a character, and ``LIKE '%n'`` a pattern.
"""

import io
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import click
from click.core import ParameterSource

from ..journal.events import Spec
from ..monitors.urls import without_secrets
from .cli.commandline import os_error_text
from .cli.nearest import did_you_mean, nearest_words
from .host import magic

# A key, or the dash of a list; and a value that begins with a character that YAML keeps for itself.
_UNQUOTED: Final = re.compile(r"(\s*(?:- |[\w-]+:\s+))((?:[%@`*&!]|\[[^]]*\][^ #]).*?)\s*")
# For those who know uWSGI's uid and gid.
USER_ADVICE: Final = "to run all vassals as one user, give user (--user USER[:GROUP])"
# Options of one call, and those with another meaning here.
_NOT_HERE: Final = (
    "config", "from", "emperor", "migrate", "output", "overwrite", "formation", "try_start",
)  # fmt: skip
_PATHS: Final = ("dir", "glob")
FROM: Final = "emperord.from"  # in the context's meta where --from has the options
NO_EMPEROR: Final = "has no line emperor = in this section; FILE:SECTION reads another one"
CONTRADICT: Final = "--from and --config contradict each other; give one of them"


def load(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Take the file's values as defaults, below the command line and the environment."""
    if FROM in context.meta:
        if context.get_parameter_source("config") is not ParameterSource.DEFAULT:
            raise click.UsageError(CONTRADICT)
        return None
    if path is None:
        return None
    known = {
        plain(name): parameter
        for parameter in context.command.params
        for name in (str(parameter.name), *parameter.opts)
        if parameter.name not in _NOT_HERE
    }
    known["emperor"] = known["monitor"]
    defaults: dict[str, Any] = {}
    for key, value in _pairs(path, _read(path)):
        option = _known(path, key, known)
        name, given = str(option.name), _value(path, key, value, option)
        if name == "monitor":
            given = [*defaults.get(name, ()), *(_expanded(each, path) for each in given)]
        elif name in defaults:
            raise click.BadParameter(f"{path}: {key} is there twice")
        defaults[name] = given
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def _read(path: str) -> Mapping[object, object]:
    import yaml

    text = ""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        # From a stream: of a text PyYAML would quote the line, which may hold a password.
        loaded = yaml.load(io.StringIO(text), _as_written(yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = os_error_text(error) if isinstance(error, OSError) else str(error)
        reason = " ".join(told.removeprefix(f"{path}: ").split()).replace('"<file>", ', "")
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is not None:
            reason += _advice(text, mark.line)
        raise click.BadParameter(f"{path} cannot be read: {reason}") from None
    if loaded is None:
        loaded = {}
    if not isinstance(loaded, dict):
        raise click.BadParameter(f"{path}: expected names and values, as in 'freq: 5'")
    return loaded


def _advice(text: str, number: int) -> str:
    """The advice to quote the value in this line, if its first character is YAML's own."""
    # A flow sequence can be meant by [, and [a-z].ini be a pattern; YAML complains of the latter.
    line = "".join(text.splitlines()[number : number + 1])
    found = _UNQUOTED.fullmatch(line)
    if found is None:
        return ""
    value = without_secrets(found[2]).replace("'", "''")
    return f"; put the value in quotes, as in {found[1].strip()} '{value}'"


def _as_written(loader: type[Any]) -> type[Any]:
    """The loader, but numbers stay text: in YAML, 0660 is 432, and 7:8 is 428."""
    numbers = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

    resolvers = {
        first: [(tag, pattern) for tag, pattern in those if tag not in numbers]
        for first, those in loader.yaml_implicit_resolvers.items()
    }
    more = {"yaml_implicit_resolvers": resolvers, "construct_mapping": _without_twins(loader)}
    return type("AsWritten", (loader,), more)


def _without_twins(loader: type[Any]) -> Callable[..., Any]:
    """A constructor of mappings that refuses a key that is there twice: PyYAML takes the last."""
    from yaml.constructor import ConstructorError

    def construct(self: Any, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(str(key.value))
        return loader.construct_mapping(self, node, deep)

    return construct


def _pairs(path: str, loaded: Mapping[object, object]) -> Iterable[tuple[object, object]]:
    """Names and values, those of a section ``emperor`` included, in the order of the file."""
    for key, value in loaded.items():
        if key == "emperor" and isinstance(value, dict):
            yield from value.items()
        else:
            yield key, value


def plain(name: str) -> str:
    """The part of a name that is the same in all ways to write it."""
    return name.lstrip("-").replace("-", "_").removeprefix("emperor_")


def _known(path: str, key: object, known: Mapping[str, click.Parameter]) -> click.Parameter:
    option = known.get(plain(str(key)))
    if option is None:
        advice = USER_ADVICE if plain(str(key)) in ("uid", "gid") else ""
        advice = advice or did_you_mean(nearest_words(plain(str(key)), known))
        advice = advice or "'emperor --help' has all options"
        raise click.BadParameter(f"{path}: there is no option {key}; {advice}")
    return option


def _value(path: str, key: object, value: object, option: click.Parameter) -> Any:
    """The value as the command line would have given it, so that it is checked in the same way."""
    if isinstance(value, bool) and getattr(option, "is_flag", False):
        return value
    values = value if isinstance(value, list) else [value]
    several = option.multiple or option.nargs == -1
    if isinstance(value, list) and not several:
        raise click.BadParameter(f"{path}: {key} takes one value, not a list")
    for each in values:
        if each is None or isinstance(each, dict | list):
            raise click.BadParameter(f"{path}: {key} needs a text or a number, as in 'freq: 5'")
    texts = [str(each) for each in values]
    return texts if several else texts[0]


def _expanded(monitor: str, path: str) -> str:
    scheme, separator, _ = monitor.partition("://")
    if separator and scheme.lower() not in _PATHS:
        return monitor
    full = os.path.abspath(path)
    expanded, _ = magic.expand(monitor, full, Spec(ts=0, path=full), None)
    return expanded
