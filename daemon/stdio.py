"""Standard input, output and error, where whoever starts us has closed them.

The next thing that a process opens gets the lowest free number. A socket or the journal that is
number 2 is where a last word goes, of the interpreter or of a library.
"""

import os


def hold() -> None:
    """Put the null device where nothing is. Called before anything else is opened."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
