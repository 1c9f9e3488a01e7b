"""Comments, docstrings, pages and texts are plain English, as CONTRIBUTING.md wants it."""

import ast
from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

import pytest
from support import prose

ROOT = Path(__file__).resolve().parents[2]
TREES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "daemon",
    "debian",
    "docs",
    "journal",
    "monitors",
    "pyproject.toml",
    "replay",
    "setup.py",
    "share",
    "tests",
    "tools",
)
PRODUCT = ("daemon", "journal", "monitors", "replay")  # users read texts of these
SUFFIXES = (".py", ".md", ".service", ".logrotate", ".ldif", ".conf")


@pytest.mark.parametrize("tree", TREES)
def test_sentences_have_an_actor_and_an_end(tree: str) -> None:
    """A fault names its place. Each file is parsed once for all that is looked for in it."""
    files = [path for path in _files(ROOT / tree) if path.is_file()]
    assert files
    found = [
        line
        for path in files
        for line in prose.faults(path, str(path.relative_to(ROOT)), strings=tree in PRODUCT)
    ]
    assert not found, "\n" + "\n".join(found)


def _files(tree: Path) -> list[Path]:
    if tree.is_file():
        return [tree]
    paths = sorted(tree.rglob("*"))
    return [path for path in paths if path.suffix in SUFFIXES or _is_script(path)]


def _is_script(path: Path) -> bool:
    return path.is_file() and not path.suffix and path.read_bytes().startswith(b"#!")


LONG = "The daemon " + "very " * 22 + "often"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        pytest.param('"""What ended."""', ["1: begins with What"], id="docstring"),
        pytest.param('"""The end.\n\nwho asks\n"""', ["3: begins with who"], id="later-paragraph"),
        pytest.param('"""The end. Whose it\nis. Go on."""', ["1: begins with Whose"], id="second"),
        pytest.param('"""The end: what ended."""', [], id="clause"),
        pytest.param('"""Does it end? What then?"""', [], id="question"),
        pytest.param('"""The end, e.g. what ended."""', [], id="abbreviation"),
        pytest.param('"""Whatever ends, whom it ends."""', [], id="other-words"),
        pytest.param('"""An\n\n    what it is   a block\n"""', [], id="block"),
        pytest.param('"""An\n\n=== ===\nwho  when\n=== ===\n"""', [], id="table"),
        pytest.param("# run       what it runs\n# run fast  who\n", [], id="columns-of-words"),
        pytest.param('"""- one\n- what\n  is two\n"""', ["2: begins with what"], id="item"),
        pytest.param(f'"""{LONG} ends."""', ["1: has 26 words"], id="long-by-one"),
        pytest.param(f'"""{LONG}."""', [], id="as-long-as-may-be"),
        pytest.param(f'"""{LONG} ``a b\nc``"""', ["1: has 26 words"], id="span-is-a-word"),
        pytest.param("def f():\n    'Nobody.'\n", ["2: begins with Nobody"], id="function"),
        pytest.param("class A:\n    'Somebody.'\n", ["2: begins with Somebody"], id="class"),
        pytest.param("a = 1  # whoever asks", ["1: begins with whoever"], id="beside-code"),
        pytest.param("# The end of\n# what it is\n", [], id="block-of-comments"),
        pytest.param("a = 1  # of\n# what it is\n", ["2: begins with what"], id="two-comments"),
        pytest.param("a = 1  # of\nb = 1  # what\n", ["2: begins with what"], id="columns"),
        pytest.param("# An end.\n#\n# Who asks\n", ["3: begins with Who"], id="empty-comment"),
        pytest.param("# noqa: who\n# type: what\n# fmt: off\n#!/who\n", [], id="directives"),
        pytest.param("a = 'What ended.'  # noqa: E501\n", [], id="string"),
        pytest.param('a = \'# What\'; b = f"{\'#\'}" "\\"# Who"\n', [], id="hash-in-a-string"),
        pytest.param("a = r'\\''  # What\nb = \"'\"\n", ["1: begins with What"], id="raw"),
        pytest.param("a = '''\n'# \"\n'''  # What\n", ["3: begins with What"], id="after-lines"),
        pytest.param(
            "try:\n pass\nexcept A:\n def f():\n  'Who.'\n", ["5: begins with Who"], id="in-try"
        ),
        pytest.param(
            "match a:\n case 1:\n  def f():\n   'Who.'\n", ["4: begins with Who"], id="in-match"
        ),
    ],
)
def test_faults_of_code_are_found_where_they_are(text: str, wrong: list[str]) -> None:
    assert _told(prose.of_python(text)) == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        pytest.param("What ended is here.", ["1: begins with What"], id="paragraph"),
        pytest.param("It is\nthe end. **Who** asks", ["2: begins with Who"], id="line"),
        pytest.param("## What ended\n\nIt.", [], id="heading"),
        pytest.param("| what | who |\n|---|---|\n| who | what |", [], id="table"),
        pytest.param("| a |\n| what it does is not known |", ["2: begins with what"], id="cell"),
        pytest.param("| a |\n| It is the end. Who asks |", ["2: begins with Who"], id="in-cell"),
        pytest.param(f"| a |\n| {LONG} ends |", ["2: has 26 words"], id="long-cell"),
        pytest.param("```\nWhat ended.\n```\n\nWho.", ["5: begins with Who"], id="fence"),
        pytest.param("1. `what` is. `a.\nb` is.\n2. Whose\n", ["3: begins with Whose"], id="item"),
        pytest.param("See https://a.example/a. What", ["1: begins with What"], id="url"),
        pytest.param("See [what](https://a.example/. Who).", [], id="link"),
        pytest.param('"What ended" is said.', ["1: begins with What"], id="quoted"),
    ],
)
def test_faults_of_pages_are_found_where_they_are(text: str, wrong: list[str]) -> None:
    assert _told(prose.of_page(text)) == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        pytest.param("raise Refused('what ended')", ["1: begins with what"], id="error"),
        pytest.param("log.info('%s: who asks', a)", ["1: begins with who"], id="after-a-label"),
        pytest.param("log.info(f'{a}; nobody b')", ["1: begins with nobody"], id="later-clause"),
        pytest.param("raise A(\n'x ' + f'{b}. ' 'Who')", ["2: begins with Who"], id="joined"),
        pytest.param("find('what ended'); log.info(a, what)", [], id="other-strings"),
        pytest.param("click.echo('Nobody is there.')", ["1: begins with Nobody"], id="echo"),
        pytest.param("option(help='The end. Whose?', a='who')", [], id="question"),
        pytest.param("option(\nhelp='The end; whose.')", ["2: begins with whose"], id="help"),
        pytest.param(f"log.info('{LONG} %s')", ["1: has 26 words"], id="long-log-line"),
        pytest.param(f"log.info('{LONG}; %s')", [], id="two-facts"),
        pytest.param(f"raise A(f'{LONG} {{a}}')", ["1: has 26 words"], id="long-error"),
        pytest.param(f"option(help='{LONG}; that')", ["1: has 26 words"], id="long-help"),
    ],
)
def test_faults_of_strings_are_found_where_they_are(text: str, wrong: list[str]) -> None:
    assert _told(prose.of_strings(ast.parse(text))) == wrong


def test_comments_of_shell_scripts_are_read() -> None:
    script = dedent("""\
        #!/usr/bin/env bash
        # The end.
        run ${what#who}  # what
          # Who asks
        """)
    assert _told(prose.of_shell(script)) == ["4: begins with Who"]


def _told(sentences: Iterable[prose.Sentence]) -> list[str]:
    return [f"{sentence.line}: {fault}" for sentence in sentences for fault in sentence.faults]
