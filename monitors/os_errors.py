"""The text of an error of the operating system, as people are told it."""

import os


def error_text(error: OSError) -> str:
    """The system's reason, without the path it may hold."""
    if error.errno is None:
        return str(error)
    # Those of the resolver are negative, and mean nothing to the system.
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
