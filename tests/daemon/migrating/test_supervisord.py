"""Programs of supervisord that end early, or whose keys come twice: what is told of them."""

from pathlib import Path

import pytest
from emperord.daemon.migrating import supervisord


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param(
            "autorestart=false", ["autorestart = false: an end within startsecs"], id="no"
        ),
        pytest.param("autorestart=false\nstartsecs=0", [], id="it is up at once"),
        pytest.param(
            "autorestart=off\nstartretries=0",
            ["startretries = 0: with restart = no"],
            id="no retries",
        ),
        pytest.param(
            "startretries=2\nautorestart=false",
            ["startretries = 2: with restart = no", "autorestart = false: an end within"],
            id="retries",
        ),
        pytest.param(
            "autorestart=unexpected", ["autorestart = unexpected: a success"], id="unexpected"
        ),
        pytest.param("autorestart=unexpected\nstartsecs=0", [], id="unexpected, up at once"),
        pytest.param("autorestart=true", [], id="always"),
    ],
)
def test_an_early_end_that_supervisord_tries_again_is_told(
    lines: str, told: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(f"[program:a]\ncommand=/srv/a\n{lines}\n")
    found, _ = supervisord.read(str(path), path.name, {})
    (vassal,) = found.vassals
    says = [f"{each.line}: {each.says}" for each in vassal.told if each.says]
    assert len(says) == len(told)
    for line, start in zip(says, told, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "[program:a]\ncommand=/a\numask=022\nUMASK = 027\n",
            ["[program:a] umask = 022: a later line has this key"],
            id="a key twice",
        ),
        pytest.param(
            "[program:a]\ncommand=/a\numask=022\n[program:a]\numask=027\n",
            ["[program:a] umask = 022: a later line has this key"],
            id="a section twice",
        ),
        pytest.param(
            "[program:a]\ncommand=/a\numask=027\numask=027\n", [], id="the same value twice"
        ),
        pytest.param(
            "[DEFAULT]\numask=022\n[program:a]\ncommand=/a\numask=027\n", [], id="a default"
        ),
        pytest.param(
            "[DEFAULT]\numask=027\n[program:a]\ncommand=/a\n", [], id="a default that counts"
        ),
        pytest.param(
            "[supervisord]\numask=022\n[program:a]\ncommand=/a\numask=027\n",
            ["[supervisord] umask = 022: each program has its own"],
            id="a key that each program has",
        ),
        pytest.param(
            "[program:a]\ncommand=/a\numask=027\n[include]\nfile=x\n",
            ["[include] file = x: supervisord has no such key"],
            id="a key of include",
        ),
        pytest.param(
            "[program:a]\ncommand=/a\numask=027\n[group:g]\nprograms=a,b\n",
            ["[group:g] programs = b: there is no such program"],
            id="a group without its program",
        ),
    ],
)
def test_a_line_that_does_not_count_is_named(text: str, told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    found, _ = supervisord.read(str(path), path.name, {})
    assert found.vassals[0].value("umask") == "027"
    says = [f"{origin} {each.line}: {each.says}" for origin, each in found.apart]
    assert len(says) == len(told)
    for line, start in zip(says, told, strict=True):
        assert line.startswith(start)


def test_an_include_of_an_included_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text("[include]\nfiles=x.ini\n[include]\nfiles=a.ini\n")
    tmp_path.joinpath("a.ini").write_text("[program:a]\ncommand=/a\n[include]\nfiles=b.ini\n")
    tmp_path.joinpath("b.ini").write_text("[program:b]\ncommand=/b\n")
    found, _ = supervisord.read(str(path), path.name, {})
    assert [vassal.name for vassal in found.vassals] == ["a"]
    assert [f"{origin} {each.line}" for origin, each in found.apart] == [
        "[include] files = b.ini",
        "[include] files = x.ini",
    ]
