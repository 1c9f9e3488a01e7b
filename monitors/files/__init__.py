"""dir:// and glob://: config files, found by rescans and watched by inotify.

Imports: ``journal``, ``monitors``. Other sources may use its scan of one file.

Invariants:

- A rescan finds every change, even where inotify tells nothing; inotify only makes it fast.
- A path that cannot be read never looks like a file that is gone.
- A file that is being written is not taken until it is closed or has been quiet for a while.
- In tyrant mode each file is read with its owner's rights.
"""
