"""``python -m emperord.daemon.keeper``: so keepers of each release execute the next one."""

from .main import main

if __name__ == "__main__":
    main()
