"""SQL for the table that ``pg://`` reads, with foreign text quoted.

A literal is right whatever ``standard_conforming_strings`` is: where there is a backslash or a
control character it is an escape string.
"""

from typing import Final

TABLE: Final = "vassals"
_PLAIN: Final = "\n\t"


def literal(text: str | None) -> str:
    """A text as a literal. Raises ValueError for what PostgreSQL cannot hold."""
    if text is None:
        return "NULL"
    if "\0" in text:
        raise ValueError("it has a NUL, which no text of PostgreSQL can have")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not UTF-8, as a text of PostgreSQL is") from None
    quoted = text.replace("'", "''")
    if all(character != "\\" and _is_plain(character) for character in text):
        return f"'{quoted}'"
    return "E'" + "".join(map(_escaped, quoted)) + "'"


def _is_plain(character: str) -> bool:
    return character.isprintable() or character in _PLAIN


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if _is_plain(character):
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def content_literal(content: bytes) -> str:
    """A config as a literal. Raises ValueError for what PostgreSQL cannot hold."""
    return literal(content.decode("utf-8", "surrogateescape"))


def insert(
    table: str, name: str, content: bytes, uid: int | None, gid: int | None, socket: str | None
) -> str:
    """A row for a vassal, with the present as its time: so it differs from any before."""
    ids = ", ".join("NULL" if one is None else str(one) for one in (uid, gid))
    return (
        f"INSERT INTO {table} (name, config, ts, uid, gid, socket) VALUES ({literal(name)},"
        f" {content_literal(content)}, clock_timestamp(), {ids}, {literal(socket)});"
    )


def update(table: str, name: str, content: bytes) -> str:
    """Give a vassal another config."""
    return (
        f"UPDATE {table} SET config = {content_literal(content)}, ts = clock_timestamp()"
        f" WHERE name = {literal(name)};"
    )


def delete(table: str, name: str) -> str:
    return f"DELETE FROM {table} WHERE name = {literal(name)};"
