"""Files that are given as monitors themselves: what can be a vassal, and what is said of others."""

import os
from pathlib import Path

import pytest
from emperord.monitors.named_files import NoConfig, is_one_file, misfit, summary
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor

from .watching import NEVER, OFTEN, watching

FREQS = {"events": NEVER, "events and rescans": OFTEN}
NO = "no config (.xml .ini .yml .yaml .js .json)"
NOS = NO.replace("config", "configs", 1)
QUOTE = "quote a pattern, or your shell expands it"
EMPTY = "is empty: write a config into it, or remove it"
EMPEROR = (
    "is the config of a uWSGI Emperor (emperor = {0}), not of a vassal: give what that watches,"
    " as in: emperor {0}"
)
SUPERVISORD = (
    "is a config of supervisord, not of a vassal: write a config for each of its programs, with"
    " its command in a section [emperor]"
)
MISFITS = {
    "empty": ("a.ini", "", EMPTY),
    "blank": ("a.yml", " \n\n", EMPTY),
    "a vassal": ("a.ini", "[uwsgi]\nmaster = true\n", None),
    "a program": ("a.ini", "[emperor]\ncommand = sleep 1\n", None),
    "a loader of others": ("a.ini", "[uwsgi]\nini = emperor.ini\n", None),
    "what emperors are named in": ("a.ini", "[uwsgi]\n; emperor = /v\nenv = emperor=/v\n", None),
    "no config at all": ("a.ini", "emperor", None),
    "an emperor": ("a.ini", "[uwsgi]\nmaster = 1\n emperor=/v\n", EMPEROR.format("/v")),
    "an emperor of a database": (
        "a.ini",
        "[uwsgi]\nemperor = pg://host=h password=hidden dbname=d\n",
        EMPEROR.format("pg://host=h password=*** dbname=d"),
    ),
    "an emperor's section of another": ("a.ini", "[other]\nemperor = /v\n[uwsgi]\n", None),
    "YAML": ("a.yml", "uwsgi:\n  emperor: /v\n", EMPEROR.format("/v")),
    "YAML, several": ("a.yaml", "uwsgi:\n  emperor: [/v, /w]\n", EMPEROR.format("/v")),
    "YAML, a vassal": ("a.yaml", "uwsgi: {master: 1}\nemperor: {command: x}\n", None),
    "YAML that is none": ("a.yml", "emperor: [", None),
    "YAML with odd keys": ("a.yml", "? [emperor]\n: 1\n", None),
    "JSON": ("a.json", '{"uwsgi": {"emperor": "/v"}}', EMPEROR.format("/v")),
    "JSON that is none": ("a.js", "emperor", None),
    "XML": ("a.xml", "<uwsgi><emperor>/v</emperor></uwsgi>", EMPEROR.format("/v")),
    "XML, below others": ("a.xml", "<x><uwsgi><emperor>/v</emperor></uwsgi></x>",
                          EMPEROR.format("/v")),
    "XML, a vassal": ("a.xml", "<uwsgi><emperor><command>x</command></emperor></uwsgi>", None),
    "XML that is none": ("a.xml", "<emperor", None),
    "supervisord": ("a.ini", "[supervisord]\nuser=root\n", SUPERVISORD),
    "a program of supervisord": ("a.ini", "; one\n[program:x]\ncommand=x\n", SUPERVISORD),
    "a section that only looks so": ("a.ini", "[uwsgi]\nmaster=1\n[program:x]\n", None),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "what"), MISFITS.values(), ids=MISFITS)
def test_what_a_config_is(name: str, text: str, what: str | None) -> None:
    assert misfit(name, text.encode(), templates=False) == what


def test_an_empty_config_is_complete_where_each_includes_a_template() -> None:
    assert misfit("a.ini", b"", templates=True) is None


REFUSED = {
    "a program": ("app.py", "x = 1", f"is {NO}; {QUOTE}"),
    "an empty one": ("__init__.py", "", f"is {NO}; {QUOTE}"),
    "without an ending": ("app", "x", f"is {NO}; {QUOTE}"),
    "supervisord": ("supervisord.conf", "[supervisord]\n", SUPERVISORD),
    "an emperor": ("emperor.conf", "[uwsgi]\nemperor = /v\n", EMPEROR.format("/v")),
}


@pytest.mark.parametrize(("name", "text", "what"), REFUSED.values(), ids=REFUSED)
def test_what_can_be_no_config_is_refused(name: str, text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(NoConfig) as caught:
        open_monitor(str(path))
    assert str(caught.value) == f"{path} {what}"


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NoConfig, match="is no config"):
        open_monitor(str(tmp_path / "fifo"))


def test_an_ending_that_was_added_is_a_configs(tmp_path: Path) -> None:
    (tmp_path / "a.own").touch()
    options = MonitorOptions(extra_extension=(".own",))
    assert open_monitor(f"{tmp_path}/a.own", options).url == f"glob://{tmp_path}/a.own"


@pytest.mark.parametrize(
    ("plain", "known", "lines"),
    [
        pytest.param(1, 0, [f"0.py is {NO}; {QUOTE}"], id="one"),
        pytest.param(2, 0, [f"0.py, 1.py are {NOS}; {QUOTE}"], id="two"),
        pytest.param(9, 0, [f"0.py, 1.py, 2.py and 6 more are {NOS}; {QUOTE}"], id="many"),
        pytest.param(1, 2, ["0.conf x", "1.conf x", f"0.py is {NO}; {QUOTE}"], id="known ones"),
        pytest.param(0, 0, [], id="none"),
    ],
)
def test_many_are_named_once(plain: int, known: int, lines: list[str]) -> None:
    refused = [
        *(NoConfig(f"{number}.conf", "x", ()) for number in range(known)),
        *(NoConfig(f"{number}.py", None, ()) for number in range(plain)),
    ]
    assert summary(refused, ()) == lines


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("glob:///v/a.ini", True),
        ("glob://a\\[1].ini", True),
        ("glob://a\\\\[1].ini", False),
        ("glob://*/a.ini", False),
        ("dir:///v", False),
    ],
)
def test_which_monitor_is_one_file(url: str, expected: bool) -> None:
    assert is_one_file(url) is expected


# At work


@pytest.mark.parametrize("freq", FREQS.values(), ids=FREQS)
async def test_a_misfit_is_told_once_and_counts_when_it_is_a_config(
    freq: float, tmp_path: Path
) -> None:
    path = tmp_path / "a.ini"
    path.write_text("[uwsgi]\nemperor = /v\n")
    async with watching(open_monitor(str(path), MonitorOptions(freq=freq))) as watch:
        assert watch.seen == {}
        assert watch.refused == {str(path): f"it {EMPEROR.format('/v')}"}
        path.write_text("")
        await watch.until(lambda: watch.refused == {str(path): f"it {EMPTY}"})
        path.write_text("[uwsgi]\n")
        await watch.shows(str(path), "[uwsgi]\n")


@pytest.mark.parametrize("freq", FREQS.values(), ids=FREQS)
async def test_a_vassal_whose_config_is_a_misfit_now_stays_as_it_is(
    freq: float, tmp_path: Path
) -> None:
    path = tmp_path / "a.ini"
    path.write_text("[uwsgi]\n")
    async with watching(open_monitor(str(path), MonitorOptions(freq=freq))) as watch:
        before = watch.seen[str(path)].spec
        path.write_text("[program:x]\n")
        await watch.until(lambda: watch.refused == {str(path): f"it {SUPERVISORD}"})
        await watch.rest() if freq == NEVER else await watch.listings(2)
        assert watch.seen[str(path)].spec is before


async def test_a_fifo_is_told_until_a_config_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    os.mkfifo(path)
    async with watching(open_monitor(str(path), MonitorOptions(freq=OFTEN))) as watch:
        assert watch.refused == {str(path): "it is a FIFO, not a config file"}
        (tmp_path / "new").write_text("[uwsgi]\n")
        (tmp_path / "new").rename(path)
        await watch.shows(str(path), "[uwsgi]\n")
        await watch.until(lambda: watch.refused == {})


@pytest.mark.parametrize("name", ["a[1].ini", "*.ini", "a?.ini", "a\\b.ini", "a.ini"])
async def test_the_file_itself_is_meant(name: str, tmp_path: Path) -> None:
    for each in (name, "a1.ini", "ab.ini"):
        (tmp_path / each).write_text("[uwsgi]\n")
    async with watching(open_monitor(str(tmp_path / name))) as watch:
        assert list(watch.seen) == [str(tmp_path / name)]


@pytest.mark.parametrize("monitor", ["{}", "{}/*", "{}/*/x.ini", "{}/[s]ub/x.ini"])
async def test_in_a_directory_or_a_pattern_it_is_a_vassal(monitor: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for path in (tmp_path / "x.ini", tmp_path / "sub" / "x.ini"):
        path.write_text("[uwsgi]\nemperor = /v\n")
    async with watching(open_monitor(monitor.format(tmp_path))) as watch:
        assert [name.rpartition("/")[2] for name in watch.seen] == ["x.ini"]
        assert watch.refused == {}
