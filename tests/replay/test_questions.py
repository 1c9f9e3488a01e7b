"""The questions of docs/incidents.md, asked of each incident by the command that the page names.

An answer is compared with what the script of the incident and its vassals saw: pids, times, texts.
"""

import hashlib
import os
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from support.incidents import truth
from support.replaying import asking

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "incidents.md"
_ROW: Final = re.compile(r"\| (\d+) \| (.+?) \| `(.+?)` \| `(.+?)`(.*) \|")
_TIME: Final = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})"
_SLACK: Final = 5.0  # seconds between an act and its event, on a busy machine


class Question(NamedTuple):
    """A row of the page."""

    number: int
    incident: str
    command: str
    where: str


def questions() -> list[Question]:
    found, incident = [], ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            named = re.search(r"\(`(.+)`\)$", line)
            incident = named[1] if named else ""
        elif incident and (row := _ROW.fullmatch(line)):
            found.append(Question(int(row[1]), incident, row[3], row[4]))
    return found


QUESTIONS: Final = questions()


class Answer:
    """A text, and what it is compared with."""

    def __init__(self, text: str, true: Any, folder: Path) -> None:
        self.text = text
        self.true = true
        self.folder = folder  # where the command wrote

    def after(self, label: str) -> str:
        """The rest of the line behind a label."""
        assert label in self.text, self.text
        return self.text.partition(label)[2].partition("\n")[0]

    def section(self, title: str) -> list[str]:
        """The lines of a section of a page."""
        rest = self.text.partition(f"\n## {title}")[2]
        assert rest, self.text
        return [line for line in rest.partition("\n## ")[0].splitlines()[1:] if line]

    def has(self, *texts: object) -> None:
        for text in texts:
            assert str(text) in self.text, (text, self.text)


def when(text: str) -> float:
    """The first time in a text."""
    found = re.search(_TIME, text)
    assert found, text
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()


def lasted(text: str) -> float:
    found = re.search(r"(\d+(?:\.\d+)?)s\b", text)
    assert found, text
    return float(found[1])


def near(found: float, true: float) -> None:
    assert abs(found - true) < _SLACK, (found, true)


# The crash loop


def since_when(a: Answer) -> None:
    line = a.after("was down for ")
    near(when(line), a.true["deaths"][0]["at"])
    near(lasted(line), a.true["repaired"] - a.true["deaths"][0]["at"])
    assert f"{len(a.true['deaths'])} deaths, 3 deploys" in line


def broken_by(a: Answer) -> None:
    seq = re.search(r"broken by (\d+), last good (\d+)", a.text)
    assert seq
    config = a.true["edits"][0]["config"][:12]
    a.has(f"vassal_changed: config {config}, ts,config,settings -> stop  (event {seq[1]})")
    assert f"(event {seq[2]})" in a.after(f"vassal_added: config {a.true['good'][:12]}")


def changed_lines(a: Answer) -> None:
    a.has(a.true["good"][:12], a.true["edits"][0]["config"][:12])
    changed = [line[0] for line in a.text.splitlines() if line[:1] in "+-" and line[1:2] != line[0]]
    assert changed == ["-", "+", "-", "+"], a.text
    a.has("+; release 2\n")


def last_good(a: Answer) -> None:
    assert hashlib.sha256(a.text.encode()).hexdigest() == a.true["good"]


def difference_to_now(a: Answer) -> None:
    lines = a.section("The last good config, compared with the present one")
    changed = [line for line in lines if line[0] in "+-" and line[1:2] != line[0]]
    assert changed == ["-; release 1", "+; release 2, repaired"]


def around_it(a: Answer) -> None:
    lines = a.section("Also changed within a minute of it")
    (with_it,) = [line for line in lines if "changed: " in line and "blog.ini" in line]
    assert {"app0.ini", "app1.ini", "blog.ini"} == set(re.findall(r"\w+\.ini", with_it))
    assert any("stop by uid" in line and "blog.ini" in line for line in lines)


def repairs(a: Answer) -> None:
    lines = a.section("Repairs that were tried")
    assert [line[2] for line in lines] == ["✗", "✗", "✗", "✓"], lines
    configs = [edit["config"][:12] for edit in a.true["edits"]]
    assert configs[1] in lines[0]
    assert f"retry by uid {a.true['uid']}" in lines[1]
    assert configs[2] in lines[2]
    assert configs[3] in lines[3]


def last_words(a: Answer) -> None:
    lines = a.section("Its last lines before the death")
    assert lines[1:3] == [
        "Traceback (most recent call last):",
        "ModuleNotFoundError: shop.checkout2",
    ]


def elsewhere(a: Answer) -> None:
    lines = a.section("Other vassals that have a line of that change now")
    assert [line.partition(":")[0] for line in lines[1:-1]] == ["blog.ini (held)"]


# The outage


def unreadable(a: Answer) -> None:
    line = a.after("unreadable:** ")
    near(when(line), a.true["gone"])
    near(when(line) + lasted(line), a.true["back"])
    assert "No such file or directory" in a.after("because:** ")


def who_left(a: Answer) -> None:
    assert set(re.findall(r"removed .* (\w+\.ini), dir:vassals", a.text)) == set(a.true["left"])
    times = [when(line) for line in a.text.splitlines()[1:]]
    assert max(times) - min(times) < _SLACK


def fleet_before(a: Answer) -> None:
    names = [line.split()[0] for line in a.text.splitlines() if line.split()[0].endswith(".ini")]
    assert len(names) == 14
    assert a.true["configs"][1][:12] in a.after("shop03.ini")


def came_back(a: Answer) -> None:
    same, older, other, lost = a.section("Came back")
    assert same.startswith("- 6 with the same text")
    assert older.startswith(f"- 1 with an older text: shop03.ini ({a.true['configs'][0][:12]}")
    assert other.startswith("- 1 with another text: shop04.ini")
    assert set(re.findall(r"shop\d\d", lost)) == {"shop09", "shop10", "shop11"}


def all_texts(a: Answer) -> None:
    files = {path.name: path.read_text() for path in a.folder.iterdir()}
    assert len(files) == 14
    assert "release 2" in files.pop("shop03.ini")
    assert all("release 1" in text for text in files.values())


# The stop that is forgotten


def stopped_by(a: Answer) -> None:
    line = a.after("stopped by:")
    near(when(line), a.true["stopped"]["web.ini"])
    assert f"uid {a.true['uid']} " in line
    assert "stop web.ini" in line
    assert "reason: web.ini fills the disk" in line


def what_is_held(a: Answer) -> None:
    lines = [line for line in a.text.splitlines() if ": held: by" in line]
    assert [line.partition(":")[0] for line in lines] == ["cron.ini", "web.ini"]
    cron, web = map(lasted, lines)
    near(web - cron, a.true["stopped"]["cron.ini"] - a.true["stopped"]["web.ini"])


def would_start(a: Answer) -> None:
    first, _, third = (config[:12] for config in a.true["configs"])
    a.has(f"ran, {first}", f"wanted, {third}", "release 1", "release 3")


def was_held(a: Answer) -> None:
    line = a.after("was held:")
    near(lasted(line), a.true["started"] - a.true["stopped"]["mail.ini"])


# The rolling change


def the_rollout(a: Answer) -> None:
    done, count = a.true["done"], a.true["count"]
    a.has(f"{done} of {count} that run have the wanted config, {count - done} have another")
    for name, pid in a.true["pids"].items():
        assert f" {pid} " in a.after(name)


def ran_the_old(a: Answer) -> None:
    lines = a.text.splitlines()[1:]
    assert {line.split()[0] for line in lines} == set(a.true["pids"])
    assert sum("it runs" in line for line in lines) == a.true["count"] - a.true["done"]


def how_it_ended(a: Answer) -> None:
    assert "killed by signal 9" in a.after("how it ended:** ")
    silent = re.search(r"the daemon was killed by signal 9, before " + _TIME, a.text)
    assert silent
    assert when(silent[0]) > a.true["killed"]["at"]


def in_charge(a: Answer) -> None:
    began = when(a.after("next start:** "))
    near(lasted(a.after("nobody in charge:** ")), began - a.true["killed"]["at"])


def policy(a: Answer) -> None:
    line = a.after("it decided by:** ")
    assert "max-starting 2" in line
    assert "version " in line
    assert "rules 2" in line


def none_died(a: Answer) -> None:
    lines = a.section("Vassals that died while no daemon was there")
    assert lines[0] == f"- None; the next daemon found {a.true['count']} running."


# The kills


def restarts(a: Answer) -> None:
    line = a.after("shop.ini: crashing: ")
    assert line.startswith(f"restarts (1 h) {len(a.true['kills'])}, last SIGKILL ")
    assert line.endswith("not by emperord")


def since_deploy(a: Answer) -> None:
    seq = a.after("since deploy:").split()[1].rstrip(",")
    deployed = a.after("last deploy:")
    assert f"(event {seq})" in deployed
    near(when(deployed), a.true["deployed"])


def whose_kills(a: Answer) -> None:
    ends = [line for line in a.text.splitlines() if "signal 9" in line]
    by_another = [line for line in ends if "not by emperord" in line]
    assert len(by_another) == len(a.true["kills"])
    for line, kill in zip(by_another, a.true["kills"], strict=True):
        assert " shop.ini " in line
        near(when(line), kill["at"])
    ours = [line.split()[4] for line in ends if line not in by_another]
    assert set(ours) == {"deaf.ini", "mute.ini"}  # mute.ini perhaps more than once, under load


def share_up(a: Answer) -> None:
    line = a.after("\nshop.ini")
    share, outages, mttr = line.split()[:3]
    assert 0 < float(share.rstrip("%")) < 100
    assert outages == "1"
    kills = [kill["at"] for kill in a.true["kills"]]
    assert lasted(mttr) > kills[-1] - kills[0] - _SLACK


def die_most(a: Answer) -> None:
    rows = a.text.splitlines()[4:]
    assert [row.split()[0] for row in rows[:2]] == ["shop.ini", "mute.ini"]


# The edited journal


def which_rows(a: Answer) -> None:
    seq = a.true["death"]
    a.has(f"event {seq}: its row is not what was written", f"events up to {seq - 1} are intact")


def altered(a: Answer) -> None:
    a.has("are as witnessed; events ", "and may be rewritten", "so its past was rewritten")


def incomplete(a: Answer) -> None:
    a.has(f"this file ends with event {a.true['repair'] - 1}, and event ")


def text_before(a: Answer) -> None:
    removed = [line[5:] for line in a.text.splitlines() if line.startswith("    -")]
    assert removed[1:] == [a.true["text"].splitlines()[-1]]  # behind the head of the diff


def said(*parts: str) -> Callable[[Answer], None]:
    return lambda answer: answer.has(*parts)


TRUE: Final[dict[int, Callable[[Answer], None]]] = {
    1: since_when,
    2: broken_by,
    3: changed_lines,
    4: last_good,
    5: difference_to_now,
    6: said(f"changed by:** file of uid {os.getuid()}"),
    7: around_it,
    8: repairs,
    9: last_words,
    10: elsewhere,
    11: said("not known: emperord is no proxy"),
    12: unreadable,
    13: who_left,
    14: said("doubted:** yes: 11 of 12 were missing"),
    15: said("tied to the outage:** yes"),
    16: fleet_before,
    17: came_back,
    18: all_texts,
    19: said("not known: dir:vassals tells no author"),
    20: said("stop by an operator"),
    21: stopped_by,
    22: what_is_held,
    23: said("2 changes"),
    24: would_start,
    25: was_held,
    26: said("1 request: retry"),
    27: the_rollout,
    28: ran_the_old,
    29: how_it_ended,
    30: in_charge,
    31: policy,
    32: none_died,
    33: said("shop.ini: crashing:", "deaf.ini: held:"),
    34: restarts,
    35: since_deploy,
    36: whose_kills,
    37: share_up,
    38: die_most,
    39: altered,
    40: which_rows,
    41: said("which was witnessed"),
    42: incomplete,
    43: text_before,
}


def test_every_question_has_a_command() -> None:
    assert [question.number for question in QUESTIONS] == list(TRUE) == list(range(1, 44))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: f"{q.number} {q.command}")
def test_the_answer_is_true_and_takes_one_command(
    incident: Callable[[str], str], question: Question, tmp_path: Path
) -> None:
    journal = Path(incident(question.incident))
    true = truth(str(journal))
    folder = tmp_path / "texts"
    words = {
        "FILE": str(journal.parents[1] / "witness"),
        "DIR": str(folder),
        "T": _before(question, true),
        "COPY": str(journal.with_name("whole.db")),
    }
    argv = [words.get(word, word) for word in shlex.split(question.command)]
    if argv[0] == "--journal":
        journal, argv = journal.with_name(argv[1]), argv[2:]
    result = asking()(journal, *argv)
    assert result.exit_code == (3 if argv[0] == "verify" else 0), result.output
    assert question.where in result.stdout, result.stdout
    TRUE[question.number](Answer(result.stdout, true, folder))


def _before(question: Question, true: Any) -> str:
    """The time that a person would give."""
    if question.incident == "edited":
        return f"@{true['change']}"
    if question.incident != "outage":
        return ""
    return datetime.fromtimestamp(true["gone"] - 0.001, UTC).isoformat()
