"""mongodb:// works as its page says, and imports pymongo only when a source needs it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from emperord.journal.events import Spec
from emperord.monitors.mongodb.filters import parse
from support.mongodb import MongoSource

from ..watching import watching
from .readings import SELDOM


def test_the_library_is_imported_when_it_is_needed() -> None:
    program = (
        "import sys; from emperord.monitors.registry import open_monitor;"
        "import emperord.daemon.main; open_monitor('/tmp'); assert 'pymongo' not in sys.modules;"
        "open_monitor('mongodb://'); assert 'pymongo' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


# The page

NOW = '{"$date": "1970-01-01T00:00:01Z"}'


async def test_what_the_page_says_to_type(source: MongoSource) -> None:
    """Each line in mongosh does what stands above it. Our own parser reads what it is given."""
    page = (Path(__file__).parents[3] / "docs" / "sources-mongodb.md").read_text()
    (block,) = re.findall(r"^```js\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    methods: dict[str, Callable[..., object]] = {
        "createIndex": lambda keys, options: source.vassals.create_index(list(keys), **options),
        "insertOne": source.vassals.insert_one,
        "updateOne": source.vassals.update_one,
    }
    lines = re.findall(r"^// (.*)\ndb\.vassals\.(\w+)\((.*)\)$", block, re.MULTILINE)
    assert [comment for comment, _, _ in lines][1:] == [
        "start one", "change it", "reload it as it is", "end it",
    ]  # fmt: skip
    async with watching(source.hurried(SELDOM, 10, ",{enabled:1}")) as watch:
        before: Spec | None = None

        def differs() -> bool:
            return "hello.ini" in watch.seen and watch.seen["hello.ini"].spec != before

        for comment, method, arguments in lines:
            given = parse(f"{{x:[{arguments.replace('new Date()', NOW)}]}}")
            methods[method](*given["x"])
            if comment == "end it":
                await watch.until(lambda: not watch.seen)
            elif method != "createIndex":
                await watch.until(differs)
                after = watch.seen["hello.ini"].spec
                assert before is None or after.ts > before.ts
                assert (before is not None and after.config == before.config) == (
                    comment == "reload it as it is"
                )
                before = after
