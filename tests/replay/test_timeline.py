"""``timeline``: what stands on the lanes, and that no name or text does more than stand there."""

import base64
import hashlib
import html.parser
import json
import re
import stat
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from journal_builder import building, busy_fleet
from support.replaying import asking

HOSTILE = [
    "</script><script>alert(1)</script>.ini",
    "\"onload='alert(1)'.ini",
    "<img src=x onerror=alert(1)>.ini",
    "--><!--]]>&amp;&#x3c;.ini",
    "\u202etxt.ini",
    "\u2028line\u2029.ini",
    "bücher 🦊.ini",
]
REASON = "no\0such\x1b[31m</title><svg onload=alert(1)> \u202euser"

run = asking("timeline")


def made(path: str, file: Path, *arguments: str) -> str:
    result = run(path, "-o", str(file), *arguments)
    assert result.exit_code == 0, result.output
    return file.read_text("utf-8")


class Page(html.parser.HTMLParser):
    """The tags of a page, and the texts of its blocks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: dict[str, str] = {}
        self._block = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._block = str(dict(attrs).get("id", tag)) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._block = ""

    def handle_data(self, data: str) -> None:
        if self._block:
            self.blocks[self._block] = self.blocks.get(self._block, "") + data

    @property
    def data(self) -> Any:
        return json.loads(self.blocks["data"])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("timeline") / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini")
        builder.exited("a.ini", signal=9)
        builder.operator("stop", "a.ini")
        builder.event("monitor_failed", monitor="dir:///etc/vassals", reason="Stale file handle")
        builder.added("b.ini", bar="no such user")
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("hostile") / "journal.db")
    with building(path) as builder:
        builder.start()
        for name in HOSTILE:
            builder.added(name, bar=REASON)
        builder.event("monitor_failed", monitor="dir:///" + HOSTILE[0], reason=REASON)
    return path


def lane(data: Any, name: str) -> dict[str, Any]:
    """A lane in words: phases with their seconds, and marks."""
    (one,) = [each for each in data["lanes"] if each["name"] == name]
    bars, marks = one["bars"], one["marks"]
    return {
        "bars": [
            (data["phases"][bars[i + 2]][0], bars[i] / 1000, bars[i + 1] / 1000)
            for i in range(0, len(bars), 4)
        ],
        "marks": [
            (data["sorts"][marks[i + 1]][0], marks[i] / 1000, data["texts"][marks[i + 2]])
            for i in range(0, len(marks), 3)
        ],
    }


def test_the_lanes(path: str, tmp_path: Path) -> None:
    data = Page(made(path, tmp_path / "t.html")).data
    assert [each["name"] for each in data["lanes"]] == ["(all)", "a.ini", "b.ini"]
    one = lane(data, "a.ini")
    assert one["bars"] == [
        ("starting", 2, 4),
        ("accepting", 4, 5),
        ("throttled", 5, 6),
        ("held", 6, 8),
    ]
    assert [mark[:2] for mark in one["marks"]] == [("deploy", 2), ("death", 5), ("operator", 6)]
    assert one["marks"][1][2] == "exited killed by signal 9 (SIGKILL) (6)"
    assert lane(data, "b.ini")["marks"][0][2].endswith("may not run: no such user (9)")
    sorts = [mark[0] for mark in lane(data, "(all)")["marks"]]
    assert sorts == ["daemon", "daemon", "source"]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [(("a.ini",), ["(all)", "a.ini"]), (("[bc]*",), ["(all)", "b.ini"])],
)
def test_chosen_vassals(
    path: str, tmp_path: Path, arguments: tuple[str, ...], names: list[str]
) -> None:
    data = Page(made(path, tmp_path / "t.html", *arguments)).data
    assert [each["name"] for each in data["lanes"]] == names


def test_a_window_begins_with_the_phases_of_then(path: str, tmp_path: Path) -> None:
    data = Page(made(path, tmp_path / "t.html", "--since", "@6", "--until", "@7")).data
    assert lane(data, "a.ini")["bars"] == [("throttled", 0, 1)]


def test_no_text_is_markup(hostile: str, tmp_path: Path) -> None:
    text = made(hostile, tmp_path / "t.html")
    page = Page(text)
    harmless = made_of_harmless(tmp_path)
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in Page(harmless).tags}
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    names = [each["name"] for each in page.data["lanes"]]
    assert "</script><script>alert(1)</script>.ini" in names
    assert not any("\u202e" in name or "\u2028" in name for name in names)


def made_of_harmless(tmp_path: Path) -> str:
    path = str(tmp_path / "harmless.db")
    with building(path) as builder:
        builder.start()
        builder.added("a.ini")
    return made(path, tmp_path / "harmless.html")


@pytest.mark.parametrize("suffix", ["html", "svg"])
def test_no_character_is_a_control(hostile: str, tmp_path: Path, suffix: str) -> None:
    text = made(hostile, tmp_path / f"t.{suffix}")
    assert not [each for each in text if not each.isprintable() and each != "\n"]


def test_the_policy_allows_this_script_and_style_only(hostile: str, tmp_path: Path) -> None:
    page = Page(made(hostile, tmp_path / "t.html"))
    (policy,) = [
        str(attrs["content"])
        for tag, attrs in page.tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    allowed = dict(part.split(maxsplit=1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    for block, rule in (("script", "script-src"), ("style", "style-src")):
        digest = hashlib.sha256(page.blocks[block].encode()).digest()
        assert allowed[rule] == f"'sha256-{base64.b64encode(digest).decode()}'"


@pytest.mark.parametrize("suffix", ["html", "svg"])
def test_nothing_is_fetched(hostile: str, tmp_path: Path, suffix: str) -> None:
    text = made(hostile, tmp_path / f"t.{suffix}")
    text = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|src=\"|href=", text)


def test_the_page_can_be_used_without_a_mouse_and_without_eyes(path: str, tmp_path: Path) -> None:
    text = made(path, tmp_path / "t.html")
    attributes = [attrs for _, attrs in Page(text).tags]
    assert any(attrs.get("tabindex") == "0" and attrs.get("aria-label") for attrs in attributes)
    assert any(attrs.get("aria-live") == "polite" for attrs in attributes)
    assert '<th scope="row">a.ini</th><td>held</td><td>1</td><td>1</td>' in text


def test_the_drawing(hostile: str, tmp_path: Path) -> None:
    root = ET.fromstring(made(hostile, tmp_path / "t.svg"))
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags == {"svg", "title", "style", "rect", "text", "path", "g"}
    told = "".join(root.itertext())
    assert "no\\x00such" in told
    assert not [name for each in root.iter() for name in each.attrib if name.startswith("on")]


def test_for_programs(path: str) -> None:
    told = json.loads(run(path, "--json", "--since", "@4", "a.ini").stdout)
    at = "2026-11-24T06:00:0{}.000000000Z".format
    assert (told["since"], told["until"], told["first"], told["last"]) == (at(4), at(9), 4, 9)
    of_all, of_a = told["lanes"]
    assert (of_all["vassal"], of_all["phases"]) == (None, [])
    assert [(mark["seq"], mark["sort"]) for mark in of_all["marks"]] == [(8, "source")]
    assert of_a["vassal"] == "a.ini"
    phases = [(each["phase"], each["since"], each["until"]) for each in of_a["phases"]]
    assert phases == [
        ("starting", at(4), at(5)),
        ("accepting", at(5), at(6)),
        ("throttled", at(6), at(7)),
        ("held", at(7), at(9)),
    ]
    reasons = [each["reason"] for each in of_a["phases"]]
    assert reasons == [None, None, "killed by signal 9", "stopped by an operator"]
    assert [(mark["seq"], mark["sort"]) for mark in of_a["marks"]] == [
        (6, "death"),
        (7, "operator"),
    ]
    assert of_a["marks"][0] == {
        "seq": 6, "at": at(6), "sort": "death", "text": "exited killed by signal 9 (SIGKILL)",
    }  # fmt: skip


def test_names_and_texts_for_programs(hostile: str) -> None:
    result = run(hostile, "--json")
    assert result.stdout.endswith("}\n")
    assert not re.search("[\0-\x09\x0b-\x1f\u202e\u2028]", result.stdout)
    names = [lane["vassal"] for lane in json.loads(result.stdout)["lanes"]]
    assert names == [None, *sorted(HOSTILE)]


def test_a_long_history_stays_small(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, group=500) as builder:
        busy_fleet(builder, 6000, 200)
    assert len(made(path, tmp_path / "t.html")) < 100 * 6000


def test_the_file_is_its_owners_and_replaces_another(path: str, tmp_path: Path) -> None:
    file = tmp_path / "t.html"
    file.write_text("before")
    made(path, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["t.html"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "say where to: -o FILE, or --json"),
        (("-o", "t.svg", "--json"), 2, "say where to: -o FILE, or --json"),
        (("-o", "t.png"), 2, "neither .html nor .svg"),
        (("-o", "/nonexistent/t.svg"), 1, "cannot be written"),
        (("-o", "t.svg", "--since", "@5", "--until", "@3"), 2, "--since is after --until"),
    ],
)
def test_refusals(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr


def test_a_canvas_that_gets_a_size_is_drawn_before_the_browser_paints(
    path: str, tmp_path: Path
) -> None:
    """Its size clears it to black. A frame that is asked for then comes after that paint."""
    script = Page(made(path, tmp_path / "t.html")).blocks["script"]
    resized = script.partition("const fit = ")[2].partition("\n  };")[0]
    assert "canvas.width = " in resized
    assert resized.rstrip().splitlines()[-1].lstrip().startswith("draw();")
