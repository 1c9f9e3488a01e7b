"""How many files the daemon may have open."""

import resource


def raise_file_limit() -> tuple[int, int] | None:
    """Allow as many open files as may be; the limits to give vassals if that changed them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return None
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard
