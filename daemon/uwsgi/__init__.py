"""Configs of uWSGI's Emperor: how uWSGI 2.0.31 reads them, and the fate of each option here.

``formats`` has the four formats, ``magic`` the variables of a file's name, ``references`` the
values of the environment, of files and of other options. ``logic`` has conditions and loops.
``reader`` puts them together. ``emperor_options`` is the table of options, ``plan`` applies it,
and ``as_yaml`` writes the result as a file for ``--config``.

Imports: ``daemon/cli``, ``monitors``.

Invariants:

- Nothing of a config is executed or fetched, and reading it has limits: root reads it.
- Each option that is read has a file and a line, and a fate.
- Error texts and warnings have values as the file has them, so none shows the text of another file.
"""
