"""The sentences of comments, docstrings and Markdown pages, and the faults of style in them.

Of strings, the literals count that a user reads. They are arguments of errors, of log calls and of
``click.echo``, and the help texts of commands and options. A semicolon ends a fact of a log line or
of an error, which is one line. Of tables, the cells count that are sentences.

Code is no prose: spans, blocks, URLs and headings are left out or count as one word. So do
directives of tools, such as ``noqa``. An item of a list is a paragraph.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST = 25  # words of a sentence
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
_TOLD = re.compile(r"(debug|info|warning|error|exception|critical|echo|\w*[A-Z]\w*)$")  # and errors
_STOP = re.compile(r"(?<=[.;!?])\s+")  # one fact of a log line or of an error ends there
_COLON = re.compile(r"(?<=: )\s*")
_CELL = 6  # words; a shorter cell names a thing
_HELP = {"help", "epilog", "short_help"}  # keyword arguments
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
# Strings and comments of Python 3.11, where an f-string has no quote of its own kind inside.
_LEXEME = re.compile(
    r'(?:"""(?:[^\\]|\\.)*?"""'
    r"|'''(?:[^\\]|\\.)*?'''"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'(?:[^'\\\n]|\\.)*'"
    r")|(?P<comment>#[^\n]*)",
    re.DOTALL,
)
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
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


def faults(path: Path, shown: str, *, strings: bool = False) -> list[str]:
    """Each fault of a file, as ``FILE:LINE: fault: sentence``. ``strings``: of its texts, too."""
    return [
        f"{shown}:{sentence.line}: {fault}: {sentence.text}"
        for sentence in of_file(path, strings=strings)
        for fault in sentence.faults
    ]


def of_file(path: Path, *, strings: bool = False) -> Iterator[Sentence]:
    text = path.read_text()
    if path.suffix == ".md":
        yield from of_page(text)
    elif path.suffix == ".py" or text.startswith("#!/usr/bin/env python"):
        tree = ast.parse(text)
        yield from of_python(text, tree)
        if strings:
            yield from of_strings(tree)
    else:
        yield from of_shell(text)


def of_page(text: str) -> Iterator[Sentence]:
    lines = _without_fences(list(enumerate(text.splitlines(), 1)))
    yield from _sentences(lines)
    for number, line in lines:
        if line.lstrip().startswith("|"):
            for cell in line.strip().strip("|").split("|"):
                if len(cell.split()) >= _CELL:
                    yield from _sentences([(number, cell.strip())])


def of_strings(tree: ast.AST) -> Iterator[Sentence]:
    """The clauses of log lines and errors, and the sentences of help texts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if _TOLD.match(_name(node.func)):
                for argument in node.args:
                    yield from _clauses(argument.lineno, _text(argument))
            for option in node.keywords:
                if option.arg in _HELP:
                    text = _text(option.value)
                    yield from _clauses(option.value.lineno, text)
                    yield from _sentences([(option.value.lineno, text)])


def _clauses(line: int, text: str) -> Iterator[Sentence]:
    """The parts between stops, semicolons and colons. The first part after a stop has the words."""
    for sentence in _STOP.split(text):
        for number, clause in enumerate(_COLON.split(sentence)):
            if clause:
                yield Sentence(line, clause, 0 if number else len(sentence.split()))


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


def of_python(text: str, tree: ast.AST | None = None) -> Iterator[Sentence]:
    for node in _definitions(tree or ast.parse(text)):
        if doc := ast.get_docstring(node, clean=False):
            margin = " " * node.body[0].col_offset
            numbered = enumerate(doc.splitlines(), node.body[0].lineno)
            yield from _sentences([(n, line.removeprefix(margin)) for n, line in numbered])
    yield from _of_comments(_comments(text))


def _definitions(node: ast.AST) -> Iterator[_Documented]:
    """The module or definition itself and those in it. Expressions have none, so none is read."""
    if isinstance(node, _Documented):
        yield node
    for name in _BODIES:
        for inner in getattr(node, name, ()):
            yield from _definitions(inner)


def _comments(text: str) -> Iterator[Comment]:
    line, start = 1, 0  # the line of the last lexeme, and where it begins
    for lexeme in _LEXEME.finditer(text):
        line, start = line + text.count("\n", start, lexeme.start()), lexeme.start()
        if lexeme["comment"]:
            before = text[text.rfind("\n", 0, start) + 1 : start]
            yield (line, len(before)), lexeme[0], not before.strip()


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
