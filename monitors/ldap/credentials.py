"""Credentials for a directory server: the DN and the password, from a file."""

import os
import stat
from typing import Final

import msgspec

from ...journal.locked_files import LockedFiles
from .. import names
from ..os_errors import error_text
from ..polling import SourceFailed
from ..regular_file import NotRegular, opened
from .url import LdapUrl

_LONGEST: Final = 1 << 16  # bytes


class Credentials(msgspec.Struct, frozen=True):
    """The name and password of a bind. Without a name, the bind is anonymous."""

    name: str = ""
    password: str = ""


def credentials(ldap_url: LdapUrl, locked: LockedFiles) -> Credentials:
    """Read anew at each connection, so that a password can be changed. Blocks.

    The file has the password; or, if the URL has no bindname, the DN in its first line and the
    password in the second. Raises SourceFailed.
    """
    if not ldap_url.password_file:
        return Credentials()
    shown = f"the password file {names.shown(ldap_url.password_file)}"
    try:
        text = _content(ldap_url.password_file, locked).decode()
    except OSError as error:
        raise SourceFailed(f"{shown}: {error_text(error)}") from None
    except UnicodeDecodeError:
        raise SourceFailed(f"{shown} is not UTF-8") from None
    except NotRegular:
        raise SourceFailed(f"{shown} is no file") from None
    except _Open as flaw:
        raise SourceFailed(f"{shown} {flaw}") from None
    # Not splitlines, because a password may have other characters that end a line there.
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    wanted = ["password"] if ldap_url.bindname else ["DN", "password"]
    if len(lines) != len(wanted) or not all(lines):
        raise SourceFailed(
            f"{shown} must have {'one line' if len(wanted) == 1 else 'two lines'}:"
            f" the {' and the '.join(wanted)}"
        )
    return Credentials(ldap_url.bindname or lines[0].strip(), lines[-1])


class _Open(Exception):
    pass


def _content(path: str, locked: LockedFiles) -> bytes:
    with opened(path, locked=locked) as file:
        mode = os.fstat(file).st_mode
        if mode & stat.S_IRWXO:
            raise _Open(f"is open to others (mode {stat.S_IMODE(mode):04o}): chmod o= it")
        return os.read(file, _LONGEST)
