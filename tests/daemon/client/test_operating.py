"""The recipes of docs/operating.md, each run on a real daemon as it stands there."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.kept import Emperor
from support.root import need_root
from support.vassals import SLEEPER, shell

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "operating.md").read_text()
BROKEN = shell("echo No module named shop.checkout; exit 1")
SERVING = shell("echo serving; exec sleep 1000")
NAMES = ("app-1.ini", "app-2.ini", "app-3.ini", "shop.ini")
ATTENTION = 3


def recipes() -> dict[str, list[tuple[str, list[str]]]]:
    """The commands of each recipe, each with the lines that it prints."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        (block,) = re.findall(r"```console\n(.*?)```", section, re.S)
        commands = re.split(r"^\$ ", block, flags=re.M)[1:]
        parts = [command.partition("\n") for command in commands]
        found[title] = [(command, output.splitlines()) for command, _, output in parts]
    return found


RECIPES = recipes()


@pytest.fixture
def fleet(emperor: Emperor, title: str) -> Emperor:
    """An emperor with four vassals that run. One that dies stays dead for the recipe."""
    if SCENES[title] in (break_shop, change):
        emperor.options += ["--throttle", "60s"]
    for name in NAMES:
        emperor.put(name, SERVING if name.startswith("app-") else SLEEPER)
    emperor.start()
    emperor.up(*NAMES)
    return emperor


def break_shop(fleet: Emperor) -> None:
    fleet.put("shop.ini", BROKEN)
    fleet.phase("shop.ini", "throttled")


def hold(fleet: Emperor) -> None:
    run(fleet, "emperor-ctl stop app-1.ini --reason slow")


def lose_power(fleet: Emperor) -> None:
    assert fleet.process is not None
    fleet.process.kill()
    fleet.process.wait()
    fleet.clean_up()
    fleet.start()


def change(fleet: Emperor) -> None:
    hold(fleet)
    break_shop(fleet)


def nothing(_: Emperor) -> None:
    """The fleet is as the recipe needs it."""


def followed(fleet: Emperor) -> None:
    fleet.until(lambda: "serving" in fleet.vassal_log("app-1.ini"), "it has said something")


SCENES: dict[str, Callable[[Emperor], None]] = {
    "A deploy fails": break_shop,
    "A vassal is held": hold,
    "The machine comes back": lose_power,
    "Which vassals die most": break_shop,
    "Restart a few at a time": nothing,
    "Follow logs": followed,
    "Take a backup": nothing,
    "Keep the journal short": nothing,
    "Upgrade emperord": nothing,
    "Somebody changed something last night": change,
}
FULL = "The disk is full"


def test_there_are_eleven_recipes_and_each_is_run() -> None:
    assert len(RECIPES) == 11
    assert RECIPES.keys() == {*SCENES, FULL}


@pytest.mark.parametrize("title", SCENES)
def test_a_recipe_prints_what_the_page_says(fleet: Emperor, title: str) -> None:
    SCENES[title](fleet)
    for command, expected in RECIPES[title]:
        told = command
        if command == "emperor-replay undo 12":
            told = f"emperor-replay undo {fleet.event('vassal_changed', 'shop.ini').seq}"
        output = follow(fleet, told, len(expected)) if " -f " in told else run(fleet, told)
        check(fleet, output, expected)


def test_a_full_disk_pauses_the_daemon_until_there_is_room(emperor: Emperor) -> None:
    need_root("mount file systems")
    emperor.state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(emperor.state)]
    subprocess.run(mount, check=True)
    try:
        for name in NAMES:
            emperor.put(name, SLEEPER)
        emperor.start()
        emperor.up(*NAMES)
        fill(emperor.state / "dump.sql")
        (emperor.vassals / "shop.ini").unlink()
        emperor.until(lambda: "paused" in emperor.ctl("check").stdout, "it is paused")
        (status, expected), (freeing, nothing_said) = RECIPES[FULL]
        check(emperor, run(emperor, status, code=ATTENTION), expected)
        check(emperor, run(emperor, freeing), nothing_said)
        emperor.gone("shop.ini")
        emperor.stop()
    finally:
        subprocess.run(["umount", "--lazy", str(emperor.state)], check=True)


def fill(path: Path) -> None:
    """Write until no byte is free."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def environ(fleet: Emperor) -> dict[str, str]:
    return {
        **fleet.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "EMPEROR_CONTROL": str(fleet.control),
        "EMPEROR_JOURNAL": str(fleet.journal),
    }


def here(fleet: Emperor, command: str) -> str:
    return command.replace("/var/lib/emperord", str(fleet.state))


def run(fleet: Emperor, command: str, code: int = 0) -> str:
    done = subprocess.run(
        ["bash", "-c", here(fleet, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environ(fleet),
        cwd=fleet.folder,
    )
    assert done.returncode == code, (command, done.stdout)
    return done.stdout


def follow(fleet: Emperor, command: str, lines: int) -> str:
    """Run a command that does not end; the first lines that it prints."""
    argv = ["bash", "-c", f"exec {command}"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=environ(fleet), cwd=fleet.folder
    ) as process:
        assert process.stdout is not None
        found = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGINT)
    return "".join(found)


def check(fleet: Emperor, output: str, expected: list[str]) -> None:
    """Each line that the page shows is there, in this order. Numbers and digests may differ."""
    rest: Iterator[str] = iter(output.splitlines())
    for line in expected:
        if line != "...":
            pattern = plain(here(fleet, line)).replace(re.escape("..."), ".*")
            assert any(re.fullmatch(pattern, normal(each)) for each in rest), (line, output)
    assert ("..." in expected) or len(output.splitlines()) == len(expected)


def normal(line: str) -> str:
    text = re.sub(r"[0-9a-f]{12,}", "H", line)
    return " ".join(re.sub(r"\d+(\.\d+)?(\.dev\d+)?", "N", text).split())


def plain(line: str) -> str:
    return re.escape(normal(line))
