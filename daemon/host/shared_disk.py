"""Whether the vassals' logs are on the journal's file system, which their users can fill."""

import os


def warning(journal: str, logs: str) -> str | None:
    """The line that says so; None where they are apart, or nothing is known."""
    try:
        if _device(journal) != _device(logs):
            return None
    except OSError:
        return None
    return (
        f"logs of vassals ({logs}) are on the journal's file system: a user can fill it within the"
        " two seconds between looks, and the daemon pauses until the log is cut; give a"
        " --log-directory on another one"
    )


def _device(path: str) -> int:
    """The device of a path, or of the nearest directory that is there. Raises OSError."""
    while True:
        try:
            return os.stat(path).st_dev
        except FileNotFoundError:
            parent = os.path.dirname(os.path.abspath(path))
            if parent == path:
                raise
            path = parent
