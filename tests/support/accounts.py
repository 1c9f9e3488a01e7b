"""Throw-away accounts, made for a test as root and removed after it."""

import pwd
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from .root import need_root


@contextmanager
def private_account() -> Iterator[pwd.struct_passwd]:
    """An account that is the only member of its own group, as distributions make them."""
    need_root("make accounts")
    name = f"emp{uuid.uuid4().hex[:12]}"
    run("groupadd", name)
    try:
        run("useradd", "-M", "-g", name, name)
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", name], check=False, capture_output=True)
        subprocess.run(["groupdel", name], check=False, capture_output=True)


def run(*words: str) -> None:
    """Run one of the tools for accounts."""
    subprocess.run(words, check=True)
