"""Values of a request as they are told or recorded.

A request may have half a megabyte. To escape all of that takes the event loop half a second, so a
text is cut before it is escaped. Members of ``--control-group``, who may only look, could otherwise
keep the daemon from its vassals.
"""

from ...monitors.names import shown


def told(value: object, most: int) -> str:
    """A value as text, escaped, with so many characters at most."""
    match value:
        case str():
            text = value[:most]
        case list():
            text = "a list"
        case dict():
            text = "an object"
        case _:
            text = str(value)[:most]
    return shown(text)[:most]
