"""From a text to the monitor it names. A source's module is imported when first used."""

import os
import re
import unicodedata
from importlib import import_module
from typing import Final

from . import named_files, names
from .contract import Monitor
from .options import MonitorOptions
from .urls import MonitorURLError, split, without_secrets

# scheme -> module here, with a function ``open_url(rest, options) -> Monitor`` that raises
# MonitorURLError; ``rest`` is what follows ``scheme://``.
SCHEMES: Final = {
    "amqp": "amqp.monitor",
    "amqps": "amqp.amqps",
    "dir": "files.directory",
    "glob": "files.pattern",
    "ldap": "ldap.monitor",
    "ldaps": "ldap.ldaps",
    "zmq": "zeromq.monitor",
    "pg": "postgres.monitor",
    "postgresql": "postgres.uri",
    "postgres": "postgres.uri",
    "mongodb": "mongodb.monitor",
    "mongodb+srv": "mongodb.srv",
    "mongodb2": "mongodb.monitor",  # as uWSGI calls its key=value form
    "zoo": "zookeeper.monitor",
    "zookeeper": "zookeeper.monitor",
}
# Sources that say each thing once: their monitors are each a ``contract.Announcer``.
ANNOUNCING: Final = frozenset(("amqp", "amqps", "zmq"))


def announces(url: str) -> bool:
    """Whether the source of this URL says each thing once, so that it cannot be asked again."""
    return split(url)[0] in ANNOUNCING


def open_monitor(text: str, options: MonitorOptions | None = None) -> Monitor:
    """The monitor that ``text`` names: a URL, a directory or a pattern.

    Nothing is opened or connected yet. Only a text without a scheme is looked up: an existing
    directory is ``dir://`` and an existing file ``glob://``, whatever their names. Raises
    MonitorURLError, NoConfig for a file that can be no config.
    """
    _check_text(text)
    scheme, rest = split(text)
    if scheme is None:
        scheme, rest = _of_path(text, options or MonitorOptions())
    module = SCHEMES.get(scheme)
    if module is None:
        raise MonitorURLError(
            f"{names.shown(without_secrets(text))}: there is no monitor {scheme}://;"
            f" use a path or one of {_known()}"
        )
    opened: Monitor = import_module(f".{module}", __package__).open_url(
        rest, options or MonitorOptions()
    )
    return opened


def _known() -> str:
    return " ".join(f"{scheme}://" for scheme in SCHEMES)


def _check_text(text: str) -> None:
    if not text:
        raise MonitorURLError(
            f"a monitor is empty: give a directory, a pattern or a URL of {_known()}"
        )
    label = names.shown(without_secrets(text))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MonitorURLError(f"{label}: not UTF-8; rename it, or give a symlink to it") from None
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise MonitorURLError(f"{label}: has a control character; remove it")


def _of_path(path: str, options: MonitorOptions) -> tuple[str, str]:
    """The scheme of a text without one, and what follows it. Raises MonitorURLError, NoConfig."""
    if os.path.isdir(path):
        return "dir", path
    if os.path.exists(path):
        named_files.check(path, options.extra_extension)
        # The file itself is meant, so no character of its name is a wildcard.
        return "glob", re.sub(r"([*?\[\\])", r"\\\1", path)
    # A URL with a slip in it may hold a password, which as a path would be seen everywhere.
    start = path.lstrip().partition(":")[0].lower()
    if ":" in path and start in SCHEMES:
        raise MonitorURLError(
            f"{start}: a URL begins with {start}://, and nothing before it; if this is a path,"
            " write ./ before it"
        )
    # Without a wildcard or a config's extension it can only be a directory yet to be made.
    could_match = any(wild in path for wild in "*?[")
    is_pattern = could_match or names.has_extension(path, options.extra_extension)
    return ("glob" if is_pattern else "dir"), path
