"""The sentences of comments, docstrings and Markdown pages, and the faults of style in them.

Of strings, those of errors and log lines count, and of tables the cells that are sentences; their
first words are looked at, not their length.

Code is no prose: spans, blocks, tables, URLs and headings are left out or count as one word, and
so do directives of tools, such as ``noqa``. An item of a list is a paragraph.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST = 40  # words of a sentence
_OPENINGS = re.compile(r"(who|whoever|whose|what|nobody|somebody)\b", re.I)
_DIRECTIVE = re.compile(r"(noqa|type:|fmt:|pragma:|ruff:|mypy:|!)")
_ITEM = re.compile(r"([-*+]|\d+[.)])\s+")
_FENCE = re.compile(r"(```|~~~)")
_RULE = re.compile(r"[=~-]{3,}( +[=~-]{3,})*$")
_COLUMNS = re.compile(r"[^\s.!?:] {2,}\S")
_SPAN = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.S)
_LINK = re.compile(r"\]\([^)]*\)")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s)>,]*[^\s)>,.]")
_END = re.compile(r"[.!?][\"')*_\]]*(?=\s)|$")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs)|\.\.)\.$", re.I)
_TOLD = re.compile(r"(debug|info|warning|error|exception|critical|\w*[A-Z]\w*)$")  # and errors
_CLAUSE = re.compile(r"(?:(?<=[.;!?])|(?<=: ))\s*")
_CELL = 6  # words; a shorter cell names a thing
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_BEFORE = "\"'(*_[#> \t"

Line = tuple[int, str]  # its number, its text
Comment = tuple[tuple[int, int], str, bool]  # its line and column, its text, no code before it


@dataclass(frozen=True)
class Sentence:
    line: int
    text: str
    words: int

    @property
    def faults(self) -> list[str]:
        found = []
        begins = _OPENINGS.match(self.text.lstrip(_BEFORE))
        if begins and not self.text.rstrip("\"')*_]").endswith("?"):
            found.append(f"begins with {begins[0]}")
        if self.words > LONGEST:
            found.append(f"has {self.words} words")
        return found


def of_file(path: Path) -> Iterator[Sentence]:
    text = path.read_text()
    if path.suffix == ".md":
        yield from of_page(text)
    elif path.suffix == ".py" or text.startswith("#!/usr/bin/env python"):
        yield from of_python(text)
    else:
        yield from of_shell(text)


def of_page(text: str) -> Iterator[Sentence]:
    lines = _without_fences(list(enumerate(text.splitlines(), 1)))
    yield from _sentences(lines)
    for number, line in lines:
        if line.lstrip().startswith("|"):
            for cell in line.strip().strip("|").split("|"):
                if len(cell.split()) >= _CELL:
                    yield Sentence(number, cell.strip(), 0)


def of_strings(text: str) -> Iterator[Sentence]:
    """The clauses of log lines and errors."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and _TOLD.match(_name(node.func)):
            for argument in node.args:
                for clause in _CLAUSE.split(_text(argument)):
                    if clause:
                        yield Sentence(argument.lineno, clause, 0)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _text(argument: ast.expr) -> str:
    """The text of a literal, with one letter for each value in it; empty for other arguments."""
    if isinstance(argument, ast.Constant):
        return argument.value if isinstance(argument.value, str) else ""
    if isinstance(argument, ast.JoinedStr):
        return "".join(_text(value) or "x" for value in argument.values)
    if isinstance(argument, ast.BinOp):
        return _text(argument.left) + _text(argument.right)
    return ""


def of_python(text: str) -> Iterator[Sentence]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _DOCUMENTED) and (doc := ast.get_docstring(node, clean=False)):
            margin = " " * node.body[0].col_offset
            numbered = enumerate(doc.splitlines(), node.body[0].lineno)
            yield from _sentences([(n, line.removeprefix(margin)) for n, line in numbered])
    lines = text.splitlines()
    comments = [
        (token.start, token.string, not lines[token.start[0] - 1][: token.start[1]].strip())
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    yield from _of_comments(comments)


def of_shell(text: str) -> Iterator[Sentence]:
    """Of comments that have their lines for themselves; a ``#`` elsewhere may be no comment."""
    yield from _of_comments(
        ((number, len(line) - len(line.lstrip())), line.strip(), True)
        for number, line in enumerate(text.splitlines(), 1)
        if line.lstrip().startswith("#")
    )


def _of_comments(comments: Iterable[Comment]) -> Iterator[Sentence]:
    """Comments in lines below each other, at the same column, are one text."""
    block: list[Line] = []
    last = (-1, -1)
    for (line, column), string, alone in comments:
        if not (alone and last == (line - 1, column)):
            yield from _sentences(block)
            block = []
        last = (line, column)
        text = re.sub(r"^#+[:!]? ?", lambda m: "!" if "!" in m[0] else "", string)
        text = re.split(r"\s# (?=noqa|type:|fmt:|pragma:)", text)[0]
        if _DIRECTIVE.match(text):
            text = ""
        block.append((line, text))
    yield from _sentences(block)


def _without_fences(lines: list[Line]) -> list[Line]:
    kept: list[Line] = []
    inside = False
    for number, line in lines:
        fence = _FENCE.match(line.lstrip())
        kept.append((number, "" if inside or fence else line))
        inside ^= fence is not None
    return kept


def _paragraphs(lines: list[Line]) -> Iterator[list[Line]]:
    """Lines that are read as one: neither tables, nor headings, nor what is indented as a block."""
    block: list[Line] = []
    item = False  # lines of an item are indented, and no block of code
    table = False
    for number, line in [*lines, (0, "")]:
        bare = line.strip()
        if _RULE.match(bare) and " " in bare:
            table = True
        starts = _ITEM.match(bare)
        layout = (
            not bare
            or table
            or bare.startswith(("|", "#", "<!--"))
            or _RULE.match(bare)
            or _COLUMNS.search(bare)
            or (line.startswith("  ") and not item and not starts)
        )
        if layout or starts:
            if block:
                yield block
            block = []
        table = table and bool(bare)
        item = bool(starts) or (item and (line.startswith("  ") or bool(block)))
        if not layout:
            block.append((number, bare[starts.end() :] if starts else bare))


def _sentences(lines: list[Line]) -> Iterator[Sentence]:
    for paragraph in _paragraphs(lines):
        text = "\n".join(line for _, line in paragraph)
        masked = text  # of the same length, with code as words without spaces and stops
        for pattern in (_SPAN, _LINK, _URL):
            masked = pattern.sub(lambda match: "x" * len(match[0]), masked)
        start = 0
        for end in _END.finditer(masked):
            if _ABBREVIATION.search(masked, start, end.start() + 1):
                continue
            number = paragraph[text.count("\n", 0, start)][0]
            words = len(masked[start : end.end()].split())
            yield Sentence(number, " ".join(text[start : end.end()].split()), words)
            start = end.end() + 1
