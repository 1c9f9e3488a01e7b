"""``incident NAME``: the opening of a post-mortem."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.journal.events import Spec
from emperord.replay.main import cli
from journal_builder import MONITOR, Builder, building
from support.incidents import known, told
from support.replaying import asking

GOOD = b"[uwsgi]\nmodule = shop\nworkers = 2\n"
BAD = b"[uwsgi]\nmodule = shop2\nworkers = 2\n; a comment\n"

run = asking("incident")


def crash_loop(b: Builder) -> None:
    b.up("shop.ini", GOOD)  # 3, 4, 5
    b.up("blog.ini", b"[uwsgi]\nmodule = blog\n")  # 6, 7, 8
    b.at += 120 * 10**9
    b.changed("shop.ini", BAD, attrs={"author": "ann", "version": "7"})  # 9
    b.exited("shop.ini", code=1, log="Traceback\n```\nImportError: *shop2*\x1b[31m")  # 10
    b.changed("blog.ini", b"[uwsgi]\nmodule = shop2\n")  # 11
    b.accepting("blog.ini")  # 12
    b.changed("shop.ini", BAD + b"cheap = true\n")  # 13
    b.exited("shop.ini", code=1)  # 14
    b.operator("retry", "shop.ini", uid=0)  # 15
    b.exited("shop.ini", code=1)  # 16


def repaired(b: Builder) -> None:
    crash_loop(b)
    b.changed("shop.ini", GOOD)  # 17
    b.accepting("shop.ini")  # 18
    b.of_attempt("vassal_loyal", "shop.ini")  # 19


CHANGE = """\
## The change that broke it

```diff
--- event 3
+++ event 9
@@ -1,3 +1,4 @@
 [uwsgi]
-module = shop
+module = shop2
 workers = 2
+; a comment
```
"""
LASTS = [
    "# shop.ini is down since 2026-11-24 06:02:10.000 UTC\n",
    "- **down since:** 2026-11-24 06:02:10.000 UTC\n",
    "- **up again:** not yet; down for 6.00s as of event 16\n",
    "- **deaths:** 3: the first exit code 1 (06:02:10.000, event 10),",
    "- **broken by:** event 9, 2026-11-24 06:02:09.000 UTC, config",
    "- **changed by:** ann\n",
    "- **last good:** event 3, 2026-11-24 06:00:03.000 UTC, config",
    "- **now:** throttled: exit code 1, wants config",
    "- **requests refused:** not known",
    CHANGE,
    "## The last good config, compared with the present one\n\n```diff",
    "+cheap = true",
    "## Repairs that were tried\n",
    "- ✗ 06:02:13.000 changed, config",
    "(event 13): died after 1.00s (event 14)",
    "- ✗ 06:02:15.000 retry by uid 0 via emperor-ctl (event 15): died after 1.00s (event 16)",
    "## Its last lines before the death of event 10\n",
    "````\nTraceback\n```\nImportError: *shop2*\\x1b[31m\n````\n",
    "## Other vassals that have a line of that change now\n",
    "blog.ini (accepting): module = shop2",
    "## Also changed within a minute of it\n",
    "- 06:02:11.000 changed: blog.ini, from dir:vassals (event 11)",
    "## Events\n",
]
OVER = [
    "# shop.ini was down for 8.00s\n",
    "- **up again:** 2026-11-24 06:02:18.000 UTC (event 18), after 8.00s\n",
    "- **now:** accepting (loyal), wants config",
    CHANGE,
    "## The last good config, compared with the present one\n\nThey are the same.\n",
    "- ✓ 06:02:17.000 changed, config",
    ", the text of event 3 (event 17): accepting after 1.00s (event 18)",
]


def held(b: Builder) -> None:
    b.up("shop.ini", GOOD)
    b.operator("stop", "shop.ini")  # 6
    b.exited("shop.ini", code=0)
    b.up("blog.ini")  # 8


def held_in_a_crash_loop(b: Builder) -> None:
    crash_loop(b)
    b.operator("stop", "shop.ini", uid=7)  # 17


def held_after_it(b: Builder) -> None:
    repaired(b)
    b.operator("stop", "shop.ini")  # 20
    b.exited("shop.ini", code=0)


def removed(b: Builder) -> None:
    b.up("shop.ini", GOOD)
    b.removed("shop.ini", reason="the file is gone")
    b.exited("shop.ini", code=0)


def killed(b: Builder) -> None:
    b.up("shop.ini", GOOD)
    b.exited("shop.ini", signal=9)


def quiet(b: Builder) -> None:
    b.up("shop.ini", GOOD)


def first_deploy(b: Builder) -> None:
    b.added("shop.ini", BAD)
    b.spawned("shop.ini")
    b.exited("shop.ini", code=1)


PAGES: dict[str, tuple[Callable[[Builder], None], list[str]]] = {
    "it lasts": (crash_loop, LASTS),
    "it is over": (repaired, OVER),
    "a stop": (
        held,
        [
            "# shop.ini was stopped by an operator\n",
            "- **stopped by:** uid 1000 via emperor-ctl",
            "- **requests refused:** not known",
            "added: blog.ini, from dir:vassals (event 8)",
        ],
    ),
    "a stop in a crash loop": (
        held_in_a_crash_loop,
        [
            "# shop.ini was stopped by an operator; it was down since 2026-11-24 06:02:10.000",
            "- **up again:** not while an operator holds it; 'emperor-ctl start' ends that\n",
            "- **stopped by:** uid 7 via emperor-ctl, 2026-11-24 06:02:17.000 UTC (event 17)\n",
            "- **deaths:** 3:",
            "- **now:** held: stopped by an operator",
        ],
    ),
    "a stop after it": (
        held_after_it,
        [
            "# shop.ini was down for 8.00s, then stopped by an operator\n",
            "- **up again:** 2026-11-24 06:02:18.000 UTC (event 18), after 8.00s\n",
            "- **stopped by:** uid 1000 via emperor-ctl,",
        ],
    ),
    "a removal": (
        removed,
        ["# shop.ini was removed\n", f"- **removed:** 2026-11-24 06:00:06.000 UTC, by {MONITOR}"],
    ),
    "a kill": (
        killed,
        [
            "- **broken by:** no deploy is known to be the cause; the first death: killed by",
            "- **deployed then:** event 3, 2026-11-24 06:00:03.000 UTC",
        ],
    ),
    "no incident": (quiet, ["# shop.ini had no incident; it is accepting\n"]),
    "the first deploy": (
        first_deploy,
        ["- **broken by:** event 3", "- **last good:** none: it never ran before"],
    ),
}


@pytest.mark.parametrize(("story", "says"), PAGES.values(), ids=list(PAGES))
def test_the_page(tmp_path: Path, story: Callable[[Builder], None], says: list[str]) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        story(builder)
    result = run(path, "shop.ini")
    assert result.exit_code == 0, result.output
    rest = result.stdout
    for part in says:
        assert part in rest, result.stdout
        rest = rest[rest.index(part) :]
    assert "\x1b" not in result.stdout


def test_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        crash_loop(builder)
    page = tmp_path / "incident.md"
    result = run(path, "shop.ini", "-o", str(page))
    assert (result.exit_code, result.stdout) == (0, "")
    assert page.read_text() == run(path, "shop.ini").stdout
    result = run(path, "shop.ini", "-o", str(tmp_path / "none" / "incident.md"))
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr


def test_as_it_was(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        repaired(builder)
    assert "# shop.ini is down since" in run(path, "shop.ini", "--at", "@16").stdout
    assert "# shop.ini had no incident" in run(path, "shop.ini", "--at", "@8").stdout


def test_for_programs(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        crash_loop(builder)
    found = json.loads(run(path, "shop.ini", "--json").stdout)
    assert (found["kind"], found["vassal"], found["requests_refused"]) == (
        "vassal",
        "shop.ini",
        None,
    )
    assert found["break"]["broken_by"]["seq"] == 9
    assert found["facts"]["changed by"] == "ann"
    assert [(each["kind"], each["names"], each["seq"]) for each in found["changes"]] == [
        ("vassal_changed", ["blog.ini"], 11)
    ]
    assert "+module = shop2" in found["sections"]["The change that broke it"]


def test_an_altered_event_is_marked(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, snapshot_every=18) as builder:
        builder.start()
        repaired(builder)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE event SET at = at + 1 WHERE seq = 9")
    db.close()
    for command in ("incident", "why", "graph"):
        result = CliRunner().invoke(cli, ["--journal", path, command, "shop.ini"])
        assert result.exit_code == 3, result.output
        assert "event 9 is not what was written" in result.stderr
        assert "! vassal_changed: config" in result.stdout
        result = CliRunner().invoke(cli, ["--journal", path, command, "shop.ini", "--json"])
        assert result.exit_code == 3
        assert '"altered":true' in result.stdout
        assert result.stdout.count('"altered":true') == 1
    page = run(path, "shop.ini").stdout
    assert "**! Not what was written, so not to be trusted: event 9.**" in page


def test_an_unknown_name(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.event("vassal_added", "shop.ini", MONITOR, spec=Spec(ts=1))
    result = run(path, "shopp.ini")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "did you mean shop.ini?" in result.stderr


def test_a_real_crash_loop(incident: Callable[[str], str]) -> None:
    journal = incident("crash-loop")
    page = told(journal, "incident", "shop.ini")
    found = known(journal, "incident", "shop.ini")
    broken = found["break"]
    assert broken["over"], page
    history = known(journal, "history", "shop.ini")
    deploys = [each["seq"] for each in history if each["outcome"] != "superseded"]
    assert broken["last_good"]["seq"] == deploys[0]
    assert broken["broken_by"]["seq"] == deploys[1]
    tried = [each for each in broken["repairs"] if each["config"]]
    assert [each["seq"] for each in tried] == deploys[2:]
    assert [each["outcome"] for each in tried] == ["died", "died", "running"]
    assert any(each["said"].startswith("retry by uid") for each in broken["repairs"])
    for text in (
        "ModuleNotFoundError: shop.checkout2\n```",
        "blog.ini (held): command",
        "+; release 2\n",
    ):
        assert text in page
    nearby = {name for change in found["changes"] for name in change["names"]}
    assert {"app0.ini", "app1.ini"} <= nearby, page
