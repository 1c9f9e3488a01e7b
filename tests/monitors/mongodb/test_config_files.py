"""mongodb:// documents without a config: the file of that name is the config."""

import os
from pathlib import Path

import pytest
from support.mongodb import MongoSource

from ..watching import watching
from .readings import BUSY, listing_of

# Documents without a config


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("config", [None, "", "absent"])
async def test_a_file_of_that_name(source: MongoSource, here: Path, config: str | None) -> None:
    (here / "sub").mkdir()
    for name in ("a.ini", "sub/b.ini", f"{here}/c.ini"):
        (here / name).write_text("[emperor]\ncommand = true\n")
        document = {"name": name, "ts": 1, "config": config}
        if config == "absent":
            del document["config"]
        source.vassals.insert_one(document)
    listing = await listing_of(source)
    assert listing.refused == {}
    places = {name: (seen.spec.path, seen.spec.cwd) for name, seen in listing.seen.items()}
    assert places == {
        "a.ini": (f"{here}/a.ini", str(here)),
        "sub/b.ini": (f"{here}/sub/b.ini", str(here)),
        f"{here}/c.ini": (f"{here}/c.ini", None),
    }
    seen = listing.seen["a.ini"]
    assert seen.content == b"[emperor]\ncommand = true\n"
    assert seen.spec.settings == {"command": "true"}


async def test_a_file_counts_by_its_documents_ts(source: MongoSource, here: Path) -> None:
    file = here / "a.ini"
    file.write_text("one")
    source.vassals.insert_one({"name": "a.ini", "ts": 1})
    async with watching(source.monitor(BUSY)) as watch:
        file.write_text("two")
        await watch.listings(2)
        assert watch.contents["a.ini"] == b"one"
        source.vassals.update_one({}, {"$set": {"ts": 2}})
        await watch.shows("a.ini", "two")


async def test_a_file_that_is_missing_is_waited_for(source: MongoSource, here: Path) -> None:
    source.vassals.insert_one({"name": "a.ini", "ts": 1})
    async with watching(source.monitor(BUSY)) as watch:
        reason = f"it has no config, and {here}/a.ini: No such file or directory"
        assert watch.refused == {"a.ini": reason}
        (here / "a.ini").write_text("one")
        await watch.shows("a.ini", "one")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("../a.ini", "goes up", id="up"),
        pytest.param("sub/../../a.ini", "goes up", id="up and away"),
        pytest.param("/etc/../a.ini", "goes up", id="absolute, up"),
        pytest.param("exec://a.ini", "for a scheme", id="exec"),
        pytest.param("http://h/a.ini", "for a scheme", id="http"),
        pytest.param("sub.ini", "is no file", id="directory"),
        pytest.param("pipe.ini", "is no file", id="pipe"),
        pytest.param("dangling.ini", "No such file", id="dangling"),
    ],
)
async def test_a_name_that_is_no_file_of_ours(
    source: MongoSource, here: Path, name: str, reason: str
) -> None:
    (here / "sub.ini").mkdir()
    os.mkfifo(here / "pipe.ini")
    (here / "dangling.ini").symlink_to("nowhere")
    (here.parent / "a.ini").write_text("x")
    source.vassals.insert_one({"name": name, "ts": 1})
    listing = await listing_of(source)
    assert listing.seen == {}
    assert reason in listing.refused[name]
