"""Errors of the daemon's own about one vassal: they must not be an outage of its source."""

import logging
import os
import traceback

log = logging.getLogger("emperor")


def log_and_describe(what: str, error: Exception) -> str:
    """Log an error about ``what``; the reason to give for it.

    The error's own text is left out, because it can hold a part of a config.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{os.path.basename(each.filename)}:{each.lineno} {each.name}" for each in frames]
    kind = type(error).__name__
    log.error("%s: error of the daemon: %s\n%s", what, kind, "\n".join(places[-20:]))
    last = places[-1] if places else "an unknown place"
    return f"error of the daemon: {kind} at {last}"
