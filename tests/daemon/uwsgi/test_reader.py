"""Configs are read as uWSGI itself reads them: its ``--show-config`` is the measure."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from emperord.daemon.uwsgi import reader
from emperord.daemon.uwsgi.errors import Unreadable

UWSGI = Path(sys.executable).parent / "uwsgi"
ENVIRONMENT = {"HOME": "/h", "PATH": os.environ["PATH"], "LOOP": "$(LOOP) x", "NESTED": "HOME"}
INI = "[uwsgi]\n"

# name -> the files of a case; the first one is read
CASES: dict[str, Mapping[str, str]] = {
    "lines": {
        "a.ini": 'a = 1\n[uwsgi]\r\ne = f=g \r\n=empty\n#h\n;i\n  \tj k = 3\t\nl==\nm = "q\n;=\n'
        "b;=;c # d\n"
        "blank\nalso blank =\n"
    },
    "no-last-newline": {"a.ini": "[uwsgi]\na = 1"},
    "sections": {
        "a.ini": "\ufeff[uwsgi]\na=1\n[uwsgi] ; c\nb=1\n [uwsgi]\nc=1\n[x\nd=1\n[uwsgi]\ne=2\n[o]\n"
    },
    "section-of-the-same-file": {
        "a.ini": INI + "a=1\nini = :two\nb=2\n[two]\nc=%x %X %n %N\n[uwsgi]\nd=3\n"
    },
    "section-of-another-file": {
        "a.ini": INI + "ini = b.ini:two\nb=%n\n",
        "b.ini": INI + "no=1\n[two]\nc=%x %X %n %N %s %e %S\n",
    },
    "magic": {
        "a.b.ini": INI
        + "u=%N|%n|%O|%o|%d|%c|%0|%1|%e|%s|%p|%x|%v|%P|%S|%D|%C|%E|%9|%u|%U|%g|%G|%h\n"
    },
    "magic-and-percent": {"a.ini": INI + "p=%q%%%Z% %x 100%%\n%n=1\n# %q %d\nlast=%%(p)\n"},
    "include": {
        "a.ini": INI + "a=1\ninclude = b.ini\nz=%(b) %n\n",
        "b.ini": INI + "b=%n %N $(HOME) %(a)\ninclude = c.ini\n",
        "c.ini": INI + "c=%n %N\n",
    },
    "inherit": {
        "a.ini": INI + "in = $(HOME) %n\ninherit = b.ini\nz=1\nnot=%(b)\n",
        "b.ini": INI + "b=$(HOME) %(z) %n %N @(c)\ninherit=c.ini\n",
        "c.ini": INI + "c=1\n",
    },
    "every-format-includes-every-other": {
        "a.ini": INI + "yaml = b.yml\n",
        "b.yml": "uwsgi:\n  b: 1\n  json: c.json\n  b2: 2\n",
        "c.json": '{"uwsgi": {"c": true, "xml": "d.xml", "c2": [1, "x", null]}}',
        "d.xml": "<uwsgi><d/><ini>e.ini</ini><d2>v</d2></uwsgi>",
        "e.ini": INI + "e=%n\n",
    },
    "environment": {"a.ini": INI + "a=$(HOME)x $(NOPE) $() $($(NESTED)) $$(HOME) $(HOME\nb=$HOME"},
    "environment-comes-late": {
        "a.ini": INI + "if-exists = $(HOME)\na=1\nendif\nset = b=$(HOME)\nset-ph=c=$(HOME)\n"
    },
    "files": {"a.ini": INI + "a=[@(b.txt)]\nfoo=x\n", "b.txt": "1%(foo) $(HOME)\n"},
    "placeholders": {
        "a.ini": INI
        + "foo=1\nn=7\na=%(foo) %(nope) %(foo foo + 1) %(n - 9) %(n * n) %(n / 2) %(n / nope)\n"
        "b=%(n ++) %(n --) %(foo n) %(nope nope) %(5 + 5) %( n) %()\nfoo=2\nc=%(foo)\nd=%(a)\n"
    },
    "symbol-in-a-name": {"a.ini": INI + "x%%y = 1\nu=%%(x%%y) %(x)\n"},
    "division-of-negatives": {"a.ini": INI + "n=-7\na=%(n / 2) %(n - 1) %(n * n) %(n / n)\n"},
    "set": {
        "a.ini": INI + "set=k=v%n\nset-ph=kk=v=w\nset-placeholder = x = y\nu=%(k) %(kk)|%(x )\n"
    },
    "for": {"a.ini": INI + "for = a  b\nv=%(_)-%(_)\nw=1\nendfor\nfor =\nv=%(_)\nendfor =\nx=1\n"},
    "for-times": {"a.ini": INI + "for-times = 3\nv=%(_)\nend\nfor-times=x\nv=no\nend\n"},
    "for-glob": {
        "a.ini": INI
        + "for-glob = *.nope\ng=%(_)\nendfor\nfor-glob=[bc]*\nh=%(_)\nend-for\nfor-glob=*.txt\n"
        "include=%(_).ini\nend\n",
        "b.txt": "",
        "c/d": "",
        "b.txt.ini": INI + "in=b\n",
    },
    "for-readline": {"a.ini": INI + "for-readline=b.txt\nv=%(_)\nend\n", "b.txt": "1\n\n 2 \r\n3"},
    "if-env": {
        "a.ini": INI
        + "if-env = HOME\na=%(_)\nend\nif-env=NOPE\nb=1\nend\nif-env=HOME=/h\nc=1\nend\n"
        "if-env=HOME=/g\nd=1\nend\nif-not-env = HOME\ne=1\nend\nif-not-env=NOPE\nf=%(_)\nend\n"
        "if-not-env=HOME=/g\ng=%(_)\nend\nif-not-env=HOME=/h\nh=1\nend\n"
        "if-not-env=NOPE=x\ni=1\nend\n"
    },
    "if-opt": {
        "a.ini": INI + "x=1\nif-opt=x\na=%(_)\nend\nif-opt=x=1\nb=1\nend\n"
        "if-opt=x=2\nc=1\nend\nif-opt=y\nd=1\nend\n"
        "if-not-opt=x\ne=1\nend\nif-not-opt=y\nf=%(_)\nend\n"
    },
    "if-file": {
        "a.ini": INI
        + "if-file=.\na=1\nend\nif-file=b\nb=%(_)\nend\nif-dir=.\nc=1\nend\nif-directory=b\nd=1\n"
        "end\nif-exists=.\ne=1\nend\nif-exists=b\nf=1\nend\nif-exists=\ng=1\nend\nifexists=q\nh=1\nend\n"
        "if-not-file=.\ni=1\nend\nif-not-dir=b\nj=1\nend\n"
        "if-not-exists=q\nk=%(_)\nend\nifdir=.\nl=1\n",
        "b": "",
    },
    "if-reload": {"a.ini": INI + "if-reload\na=1\nend\nif-not-reload =\nb=%(_)\nend\n"},
    "if-hostname": {"a.ini": INI + "if-hostname=%h\na=1\nend\nif-not-hostname = %h\nb=1\nend\n"},
    "block-left-open": {"a.ini": INI + "if-env=NOPE\na=1\n"},
    "block-and-include": {
        "a.ini": INI + "for=1 2\ninclude=b.ini\nv=%(_)\nendfor\nz=1\n",
        "b.ini": INI + "x=%n\nendfor\ny=1\n",
    },
    "yaml": {
        "a.yml": "a: 1\nuwsgi:\n  emp: /x\n\n  # c\n  b: %d/x\n  u: http://a # e\n  emp: 0660\n"
        "other:\n  z: 1\n"
    },
    "yaml-with-tabs": {"a.yaml": "uwsgi:\n\temp: /x\n\tb: c # d\n\tk:v\n\tl: m\n"},
    "yaml-that-is-none": {
        "a.yaml": "uwsgi:\n  at: @(b)\n  c: [\n  d: 'x\n  - e\n  f: 1\n",
        "b": "B",
    },
    "yaml-with-empty-values": {
        "a.yaml": "uwsgi:\n\ta: \n  b:\t\n  c:\td: e\n  f: g\n  h:\n  i: j\n"
    },
    "json": {
        "a.json": '{"no": {"a": 7},\n "uwsgi": {"a": true, "b": [1, "x"], "c": null, "d": 1.5,\n'
        '"a": 3, "e": {"f": 1}, "f": "v", "g": false, "h": []}, "z": {"uwsgi": 2}}'
    },
    "xml": {
        "a.xml": "<uwsgi>\n<master/><emp> /a </emp><w>a&amp;b</w>\n<q id='k'>1</q><v></v>"
        "<emp mode='m'>/b</emp></uwsgi>"
    },
    "xml-in-a-root": {"a.xml": "<r><x>1</x><uwsgi id='z'><q>1</q></uwsgi><uwsgi><p/></uwsgi></r>"},
}


def made(folder: Path, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, newline="")
    return next(iter(files))


def shown(name: str) -> list[tuple[str, str]]:
    """The options as uWSGI shows them, without those of this call."""
    ending = name.rpartition(".")[2]
    option = f"--{ending.replace('yml', 'yaml')}"
    result = subprocess.run(
        [UWSGI, "--show-config", "--no-server", option, name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        timeout=10,
    )
    text = os.fsdecode(result.stdout)
    _, begun, config = text.partition(f"{option[2:]} = {name}\n")
    assert begun, text
    config, ended, _ = config.partition(";end of configuration\n")
    assert ended, text
    return [
        (key, value) for key, _, value in (line.partition(" = ") for line in config.split("\n"))
    ][:-1]


@pytest.mark.parametrize("case", CASES)
def test_uwsgi_reads_the_same(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - ENVIRONMENT.keys():
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    name = made(tmp_path, CASES[case])
    theirs = shown(name)
    ours = [(option.key, option.value) for option in reader.read(name) if not option.ignored]
    assert ours == theirs


def nested(depth: int) -> dict[str, str]:
    files = {f"{number}.ini": INI + f"include={number + 1}.ini\n" for number in range(depth)}
    return {**files, f"{depth}.ini": INI + "a=1\n"}


REFUSED: dict[str, tuple[Mapping[str, str], str]] = {
    "exec": ({"a.ini": INI + "\ninclude = exec://touch ran\n"}, "a.ini:3: a config from exec://"),
    "exec-in-an-inherited-file": (
        {"a.ini": INI + "inherit=b.ini\n", "b.ini": INI + "ini=exec://touch ran"},
        "b.ini:2: a config from exec://",
    ),
    "exec-by-a-variable": (
        {"a.ini": INI + "inherit=$(E)://touch ran"},
        "a.ini:2: a config from exec:",
    ),
    "exec-in-a-value": ({"a.ini": INI + "a=@(exec://touch ran)"}, "a.ini:2: a value from exec://"),
    "http": ({"a.ini": INI + "ini = http://127.0.0.1/a.ini"}, "a config from http://"),
    "fd": ({"a.ini": INI + "ini = fd://0"}, "a config from fd://"),
    "data": ({"a.ini": INI + "config = data://0"}, "a config from data://"),
    "value-of-a-descriptor": ({"a.ini": INI + "a=@(fd://0)"}, "a value from fd://"),
    "itself": ({"a.ini": INI + "include=a.ini\n"}, "does it include itself?"),
    "itself-inherited": ({"a.ini": INI + "inherit=a.ini\n"}, "does it include itself?"),
    "too-deep": (nested(reader.DEEPEST), f"{reader.DEEPEST} deep, are allowed"),
    "too-many-options": ({"a.ini": INI + "for-times=99999999\na=%(_)\nend"}, "more than 10000 opt"),
    "too-large": ({"a.ini": INI + "#" * (1 << 20)}, "is larger than 1048576 bytes"),
    "endless-value": ({"a.ini": INI + "a=x%(a)\n"}, "a.ini:2: its references have no end"),
    "endless-variable": ({"a.ini": INI + "\na=x$(LOOP)\n"}, "a.ini:3: its references have no end"),
    "doubled-values": (
        {"a.ini": INI + "a0=0123456789\n" + "".join(f"a{n + 1}=%(a{n} a{n})\n" for n in range(60))},
        "its references have no end, or too many characters",
    ),
    "many-large-values": (
        {"a.ini": INI + "for-times=100\na=@(b)\nend\n", "b": "x" * 64_000},
        "a.ini:3: references make more than 4194304 characters of all values",
    ),
    "no-file": ({"a.ini": INI + "include=b.ini"}, "a.ini:2: b.ini cannot be read: No such file"),
    "no-value": ({"a.ini": INI + "a=@(b)"}, "a.ini:2: b cannot be read: No such file"),
    "folder": ({"a.ini": INI + "include=b.ini", "b.ini/c": ""}, "b.ini is no regular file"),
    "nul": ({"a.ini": INI + "a=1\0"}, "has a NUL byte"),
    "other-ending": ({"a.ini": INI + "include=b.conf"}, "a.ini:2: 'b.conf' ends with none of .ini"),
    "block-in-a-block": (
        {"a.ini": INI + "if-env=HOME\nfor=1\nend"},
        "a.ini:3: for stands in another block",
    ),
    "plugins": ({"a.ini": INI + "if-plugin=python\nend"}, "a.ini:2: if-plugin is not taken"),
    "name-server": ({"a.ini": INI + "resolve=a=localhost\n"}, "a.ini:2: resolve is not taken"),
    "placeholder-without-value": ({"a.ini": INI + "set=a\n"}, "a.ini:2: set needs a name"),
    "magic-of-uwsgi": (
        {"a.ini": INI + "# %V\na=%V\n"},
        "a.ini:3: %V (uWSGI's version) is not known",
    ),
    "joined-lines": (
        {"a.ini": INI + "# 100%%\n# 50%\nuid=1"},
        "a.ini:3: uWSGI joins the next line",
    ),
    "entities": (
        {"a.xml": "<!DOCTYPE a [<!ENTITY b SYSTEM '/etc/passwd'>]>\n<uwsgi><a>&b;</a></uwsgi>"},
        "a.xml:1: remove the DOCTYPE",
    ),
    "xml-that-is-none": ({"a.xml": "<uwsgi>\n<a>"}, "a.xml:2: this is no XML"),
    "json-that-is-none": ({"a.json": '{"uwsgi":\n{"a": }'}, "a.json:2: this is no JSON"),
    "deep-json": ({"a.json": "[" * 100_000}, "this is no JSON"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_config_is_refused_with_its_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOP", "$(LOOP)x")
    monkeypatch.setenv("E", "exec")
    files, reason = REFUSED[case]
    with pytest.raises(Unreadable) as caught:
        reader.read(made(tmp_path, files))
    assert reason in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ini")
    with pytest.raises(Unreadable, match="is no regular file"):
        reader.read(str(tmp_path / "a.ini"))


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.ini", "[uwsgi]\n\na=1\nfor=1 2\nb=%(_)\nend\n", {"a": [3], "b": [5, 5]}),
        ("a.yml", "uwsgi:\n\n  a: 1\n  b:\n  - 1\n  - 2\n", {"a": [3], "b": [5, 6]}),
        ("a.json", '{"uwsgi":\n{"a":\n1,\n"b": [1, 2]}}', {"a": [2], "b": [4, 4]}),
        ("a.xml", "<uwsgi>\n<a/>\n<b>1</b><b>2</b></uwsgi>", {"a": [2], "b": [3, 3]}),
    ],
)
def test_options_have_their_lines(
    name: str, text: str, lines: dict[str, list[int]], tmp_path: Path
) -> None:
    options = reader.read(str(tmp_path / made(tmp_path, {name: text})))
    found: dict[str, list[int]] = {}
    for option in options:
        found.setdefault(option.key, []).append(option.line)
    assert {key: found[key] for key in lines} == lines


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000, "? " * 100_000])
def test_deep_yaml_is_not_followed(text: str, tmp_path: Path) -> None:
    path = tmp_path / made(tmp_path, {"a.yml": f"uwsgi:\n  a: 1\n  b: {text}\n  c: 2\n"})
    found = [(option.key, option.line) for option in reader.read(str(path))]
    assert found[:1] == [("a", 2)]
    assert found[-1] == ("c", 4)


def test_a_section_of_the_file_itself(tmp_path: Path) -> None:
    made(tmp_path, {"a.ini": "[uwsgi]\na=1\n[b]\nc=%x\n", "a.json": '{"b": {"c": 1}}'})
    for name, value in (("a.ini:b", "b"), ("a.json:b", "1")):
        options = reader.read(str(tmp_path / name))
        assert [(option.key, option.value) for option in options] == [("c", value)]


def test_yaml_is_read_as_with_libyaml(tmp_path: Path) -> None:
    """uWSGI without libyaml would keep the quotes, and end at the list."""
    text = "uwsgi:\n  a: \"x # y\"\n  b: [1, '2']\n  c:\n  - 3\n  d: {e: 1}\n  f:\n  g: no\n"
    options = reader.read(str(tmp_path / made(tmp_path, {"a.yml": text})))
    assert [(option.key, option.value) for option in options if not option.ignored] == [
        ("a", "x # y"), ("b", "1"), ("b", "2"), ("c", "3"), ("g", "no"),
    ]  # fmt: skip
