"""``--from`` and ``--migrate`` on typical set-ups, and the table of options.

A set-up is a folder of ``setups/`` with the config, and ``argv`` that means the same. Beside them
are ``emperor.out.yml``, which ``--migrate`` writes, and ``refused``: lines that ``--from`` refuses.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.daemon.main import main
from emperord.daemon.uwsgi import emperor_options, plan, reader
from emperord.daemon.uwsgi.emperor_options import Fate
from support.options import run, tell

ROOT = Path(__file__).resolve().parents[3]
SETUPS = Path(__file__).parent / "setups"
NAMES = sorted(path.name for path in SETUPS.iterdir())
UWSGI = Path(sys.executable).parent / "uwsgi"


def config(name: str) -> str:
    (found,) = (path.name for path in (SETUPS / name).glob("emperor.*") if ".out." not in path.name)
    return found


def chosen(*arguments: str) -> dict[str, object]:
    """The options, without those that name files of options."""
    found = tell(*arguments)
    return {key: value for key, value in found.items() if key not in ("config", "from")}


def without_root() -> dict[str, object]:
    """The options that uid and gid leave as they are for a daemon that is not root."""
    return {} if os.geteuid() == 0 else {"user": None, "as_root": False}


@pytest.mark.parametrize("name", NAMES)
def test_migrate_writes_the_config_with_a_comment_for_each_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SETUPS / name)
    result = CliRunner().invoke(main, ["--migrate", config(name)])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == Path("emperor.out.yml").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["emperor.ini", "other.ini"], "takes one config of uWSGI's Emperor"),
        (["emperor.ini", "-o", "out"], "--output is for folders of vassals"),
        (["emperor.ini", "--overwrite"], "--overwrite is for folders of vassals"),
        (["emperor.ini", "-m", "web=2"], "--formation is for folders of vassals"),
        (["none.ini"], "none.ini cannot be read: No such file"),
        (["emperor.ini:none"], ""),
    ],
)
def test_migrate_writes_one_config_to_standard_output(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SETUPS / "plain")
    result = CliRunner().invoke(main, ["--migrate", *arguments])
    if told:
        assert (result.exit_code, result.stdout) == (2, "")
        assert told in result.stderr
    else:
        assert "# It has no emperor = line" in result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_from_config_and_arguments_mean_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SETUPS / name)
    wanted = chosen(*shlex.split(Path("argv").read_text()))
    assert chosen("--config", "emperor.out.yml") == wanted
    refused = Path("refused")
    if not refused.exists():
        assert chosen("--from", config(name)) == {**wanted, **without_root()}
        return
    result = run("--from", config(name), standalone=True)
    assert result.exit_code == 2
    _, _, lines = result.output.partition("\n  ")
    assert f"  {lines}" == refused.read_text()


def test_set_ups_have_options_of_each_fate(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for name in NAMES:
        monkeypatch.chdir(SETUPS / name)
        entries = plan.make(reader.read(config(name))).entries
        found |= {entry.fate for entry in entries}
    assert found == set(Fate)


def test_the_page_has_the_table() -> None:
    page = (ROOT / "docs" / "from-uwsgi.md").read_text()
    assert emperor_options.page() in page, f"put it there:\n{emperor_options.page()}"


def test_each_option_that_is_taken_is_ours() -> None:
    ours = {key.replace("_", "-") for key in tell("v")}
    for row in emperor_options.ROWS:
        if row.fate is Fate.TAKEN and " " not in row.text:
            assert row.text in ours, row


def test_the_table_has_each_emperor_and_vassal_option_of_uwsgi() -> None:
    told = subprocess.run([UWSGI, "--help"], capture_output=True, text=True, timeout=10).stdout
    names = {word.rpartition("--")[2] for line in told.splitlines() for word in line.split()[:1]}
    words = ("emperor", "vassal", "imperial")
    theirs = {name for name in names if any(word in name for word in words)}
    assert len(theirs) > 50
    assert {name for name in theirs if emperor_options.find(name) is None} == set()
    assert {name for name in theirs if name not in emperor_options.known()} == set()


@pytest.mark.parametrize(
    ("name", "fate"),
    [
        ("http", Fate.REFUSED),
        ("http-timeout", Fate.NEEDLESS),
        ("http-socket", Fate.WARNED),
        ("uwsgi-socket", Fate.WARNED),
        ("hook-emperor-start", Fate.NEEDLESS),
        ("hook-asap", Fate.REFUSED),
        ("hook-as-emperor-setns", Fate.REFUSED),
        ("legion-cron", Fate.REFUSED),
        ("cheaper-algo", Fate.NEEDLESS),
    ],
)
def test_a_whole_name_comes_before_a_beginning(name: str, fate: Fate) -> None:
    row = emperor_options.find(name)
    assert row is not None
    assert row.fate is fate


BAD = {
    "user": ("uid = none-such", "a.ini:2: uid = none-such: "),
    "root-group": ("uid = nobody\ngid = root", "a.ini:3: gid = root: "),
    "refused-reading": ("include = exec://ls", "a.ini:2: a config from exec:// is not taken"),
    "no-monitor": ("master", "Give a directory, a pattern or a URL"),
    "long": ("emperor-freq = 99999999999", "a.ini:2: emperor-freq = 99999999999: "),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="uid and gid do nothing without root")
@pytest.mark.parametrize("case", BAD)
def test_an_error_has_the_line(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, told = BAD[case]
    monkeypatch.chdir(tmp_path)
    Path("a.ini").write_text(f"[uwsgi]\n{lines}\n")
    result = run("--from", "a.ini", standalone=True)
    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize(
    ("lines", "warned"),
    [
        pytest.param("uid = root\ngid = www-data", ["gid = www-data"], id="another group"),
        pytest.param("gid = 33\nuid = 0", ["gid = 33"], id="by number"),
        pytest.param("uid = root\ngid = root", [], id="its own group"),
        pytest.param("uid = root\ngid = 33\ngid = 0", [], id="its own group at last"),
        pytest.param("uid = root\nimmediate-gid = 33", ["immediate-gid = 33"], id="at once"),
    ],
)
def test_a_group_of_root_that_no_vassal_gets_is_told(
    lines: str, warned: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.ini").write_text(f"[uwsgi]\nemperor = /v\n{lines}\n")
    made = plan.make(reader.read(str(tmp_path / "a.ini")))
    found = made.with_fate(Fate.WARNED)
    assert [entry.line for entry in found] == warned
    assert all("vassals of root have root's group" in entry.text for entry in found)
    assert [entry.value for entry in made.values()["as-root"]] == ["true"]
    assert "user" not in made.values()


def test_from_and_config_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[uwsgi]\nemperor=/v\n")
    (tmp_path / "a.yml").write_text("emperor: /w\n")
    both = [f"--from={tmp_path}/a.ini", f"--config={tmp_path}/a.yml"]
    for arguments in (both, both[::-1]):
        result = run(*arguments, standalone=True)
        assert "--from and --config contradict each other" in result.output
    environ = {"EMPEROR_CONFIG": str(tmp_path / "a.yml")}
    result = run(both[0], standalone=True, environ=environ)
    assert "--from and --config contradict each other" in result.output


def test_the_units_own_config_does_not_count_beside_from(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[uwsgi]\nemperor=/v\n")
    (tmp_path / "emperor.yml").write_text("emperor: /w\nfreq: 7\n")
    unit = {"CONFIGURATION_DIRECTORY": str(tmp_path)}
    assert tell(environ=unit)["monitor"] == ("/w",)
    for arguments, more in (
        ([f"--from={tmp_path}/a.ini"], {}),
        ([], {"EMPEROR_FROM": f"{tmp_path}/a.ini"}),
    ):
        found = tell(*arguments, environ={**unit, **more})
        assert (found["monitor"], found["freq"]) == (("/v",), 3.0)


def test_the_command_line_and_the_environment_come_first(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[uwsgi]\nemperor=/v\nemperor-freq=7\nemperor-throttle=8\n")
    environ = {"EMPEROR_THROTTLE": "9"}
    found = tell("--from", f"{tmp_path}/a.ini", "--freq", "6", "/w", environ=environ)
    assert (found["monitor"], found["freq"], found["throttle"]) == (("/w",), 6.0, 9)


def test_secrets_are_not_told(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text(
        "[uwsgi]\nemperor=amqp://u:geheim@h/\nenv=A=geheim\npassword=geheim\nstats=http://a:geheim@h\n"
    )
    made = plan.make(reader.read(str(tmp_path / "a.ini")))
    assert [entry for entry in made.entries if "geheim" in f"{entry} {entry.line}"] == []
