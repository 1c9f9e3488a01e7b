"""The script of one run: who the sources are, and what happens when. A seed gives one script.

A step stands for itself: it says what happens in words that make sense whatever happened before. A
kill of a vassal that does not run is nothing. So any part of a script is a script too, and one that
fails can be cut down.
"""

from random import Random
from typing import Final

import msgspec

# How vassals behave, by the first word of their config. machine.py has the behaviour of each.
HEALTHY: Final = (
    "healthy", "slow", "beats", "strays", "deaf", "program", "demand", "shares",
    "fragile", "masterless", "restarts",
)  # fmt: skip
SICK: Final = (
    "crashes", "late", "exile", "silent", "mutes", "resigns", "noexec", "fickle", "worker", "once",
)  # fmt: skip
# Those that do not speak the emperor protocol, and so count as up once they run.
PROGRAMS: Final = ("program", "fragile", "worker", "once")
# Programs whose ``ready`` is looked at, and the health of some. A vassal gets one of them, or not,
# from a random stream of its own.
AWAITED: Final = ("eager", "tardy", "never", "sickens", "ails")
# Programs that notify: in time, after they asked for more, and never; one says that it stops, and
# one sends heartbeats until it hangs. And one with sockets that are kept for it.
NOTIFYING: Final = ("notifies", "begs", "mum", "halts", "watched")
KEEPING: Final = ("keeps",)
OWN: Final = PROGRAMS + AWAITED + NOTIFYING + KEEPING  # all that have a command
PREFLIGHTS: Final = ("passes", "passes", "fails", "hangs")
REPLACES: Final = "replaces"  # of what a source puts: reload = replace
ROLLS: Final = "rolls"  # of what a source puts: rollback = 2
CANARY: Final = "canary"  # of what a source puts: canary = yes
# Changes of vassals that are rolled back; one of them works, and one accepts and dies soon.
_CHANGES: Final = (
    "crashes", "crashes", "shaky", "shaky", "never", "fickle", "noexec", "late", "mum", "healthy",
)  # fmt: skip
NAMES: Final = ("a.ini", "b.ini", "c.ini", "d.ini", "e.ini")
SOURCES: Final = ("files", "rows", "messages")
# Moments at which a daemon can be made to crash; how they are met is in host.py and disk.py.
MOMENTS: Final = (
    "append", "appended", "act", "fork", "forked", "told", "bury", "recover", "hand", "handed",
)  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """At this virtual second, this happens to whom."""

    at: float
    do: str
    whom: str = ""
    what: str = ""
    much: float = 0.0

    def __str__(self) -> str:
        words = [f"{self.at:7.3f}", self.do, self.whom, self.what]
        if self.much:
            words.append(f"{self.much:g}")
        return " ".join(filter(None, words))


class Script(msgspec.Struct, frozen=True):
    """All that a run is made from."""

    seed: int
    steps: tuple[Step, ...]
    length: float  # virtual seconds until the faults end
    max_starting: int
    graceful: bool
    forgive: float = 0.0  # seconds of quiet running; 0: never
    ceiling: int = 0  # of the slots, where the machine's pressure decides
    rollout: str = ""  # how many of a source change at once; "": all
    rollout_failures: int = 1  # after so many the rest is held back
    hops: int = 0  # jobs in threads a virtual second, beside the daemon's own

    def only(self, kept: list[int]) -> "Script":
        """The same with these steps alone, by number."""
        return msgspec.structs.replace(self, steps=tuple(self.steps[number] for number in kept))


def write(seed: int, *, hops: bool = False) -> Script:
    """The script of a seed. With ``hops``, another order of events: the seed says how many."""
    rng = Random(f"{seed}/script")
    length = rng.uniform(6.0, 16.0)
    steps = _opening(rng)
    for _ in range(rng.randint(6, 26)):
        steps.append(_step(rng, round(rng.uniform(0.0, length), 3)))
    steps.sort(key=lambda step: step.at)
    most, graceful = rng.choice((1, 1, 2, 3)), rng.random() < 0.3
    forgive, ceiling = rng.choice((0.0, 0.5, 2.0)), rng.choice((0, 0, 2, 4, 8))
    if ceiling:
        steps += _pressure(rng, length)
        steps.sort(key=lambda step: step.at)
    steps = _with_settings(Random(f"{seed}/settings"), steps)
    steps = _with_services(Random(f"{seed}/services"), steps)
    steps = _with_replacements(Random(f"{seed}/replacements"), steps)
    steps = _with_rollbacks(Random(f"{seed}/rollbacks"), steps, length)
    rollout, failures, steps = _with_rollouts(Random(f"{seed}/rollouts"), steps, length)
    extra = Random(f"{seed}/hops").randint(0, 5) if hops else 0
    return Script(
        seed, tuple(steps), length, most, graceful, forgive, ceiling, rollout, failures, extra
    )


def _opening(rng: Random) -> list[Step]:
    """The fleet with which it begins, mostly healthy."""
    names = rng.sample(NAMES, rng.randint(2, 5))
    return [Step(0.0, "put", rng.choice(SOURCES), f"{name} {_behaviour(rng)}") for name in names]


def _with_settings(rng: Random, steps: list[Step]) -> list[Step]:
    """Some of what sources have gets a preflight. The stream is another: all else stays.

    Some is a program that is awaited.
    """
    found = []
    for step in steps:
        what = step.what
        if step.do == "put" and rng.random() < 0.25:
            what += f" {rng.choice(PREFLIGHTS)}"
        if step.do == "put" and rng.random() < 0.2:
            name, _, *more = what.split()
            what = " ".join((name, rng.choice(AWAITED), *more))
        found.append(msgspec.structs.replace(step, what=what))
    return found


def _with_services(rng: Random, steps: list[Step]) -> list[Step]:
    """In some seeds a part of what sources have notifies, in some it has sockets that are kept."""
    kinds, share = rng.choice((((), 0.0), (NOTIFYING, 0.4), (KEEPING, 0.6)))
    found = []
    for step in steps:
        what = step.what
        if step.do == "put" and rng.random() < share:
            name, _, *more = what.split()
            what = " ".join((name, rng.choice(kinds), *more))
        found.append(msgspec.structs.replace(step, what=what))
        if step.do == "put" and kinds is KEEPING and rng.random() < 0.6:
            # The next config of a source has another address, which may be taken.
            again = round(step.at + rng.uniform(0.3, 4.0), 3)
            if rng.random() < 0.3:
                found.append(Step(again, "busy", much=0.5))
            found.append(msgspec.structs.replace(step, at=again, what=what))
    return sorted(found, key=lambda step: step.at)


def _with_replacements(rng: Random, steps: list[Step]) -> list[Step]:
    """In every other run some of what sources have is replaced at a change.

    In the rest all rules hold: how long a vassal waits beside replaced ones is not followed.
    """
    if rng.random() < 0.5:
        return steps
    return [
        msgspec.structs.replace(step, what=f"{step.what} {REPLACES}")
        if step.do == "put" and rng.random() < 0.3 and not _is_on_demand(step.what)
        else step
        for step in steps
    ]


def _with_rollbacks(rng: Random, steps: list[Step], length: float) -> list[Step]:
    """In some seeds the changes are rolled back when they fail, and there are more of them.

    How one that is on demand, is replaced, or has kept sockets goes back is not followed.
    """
    if rng.random() >= 0.25 or any("keeps" in step.what.split() for step in steps):
        return steps
    found = []
    for step in steps:
        if step.do != "put":
            found.append(step)
            continue
        name, behaviour, *more = step.what.split()
        if _is_on_demand(behaviour) or rng.random() < 0.4:
            behaviour = "healthy"
        words = [name, behaviour, *(word for word in more if word != REPLACES), ROLLS]
        found.append(msgspec.structs.replace(step, what=" ".join(words)))
        again = round(step.at + rng.uniform(1.0, 4.0), 3)
        if rng.random() < 0.8 and again < length:
            change = f"{name} {rng.choice(_CHANGES)} {ROLLS}"
            found.append(msgspec.structs.replace(step, at=again, what=change))
    return sorted(found, key=lambda step: step.at)


def _with_rollouts(rng: Random, steps: list[Step], length: float) -> tuple[str, int, list[Step]]:
    """In some seeds changes are carried out a few at a time, and some come together.

    None is replaced or rolled back then, as nothing follows how long such a vassal waits.
    """
    rolls = any(ROLLS in step.what.split() for step in steps)
    if rng.random() > 0.3 or rolls:
        return "", 1, steps
    source = rng.choice(SOURCES)
    found = [_in_rollout(rng, step, source) for step in steps]
    there = {step.what.split()[0] for step in steps if step.do == "put" and not step.at}
    more = [name for name in NAMES if name not in there and rng.random() < 0.7]
    found += [Step(0.0, "put", source, f"{name} healthy") for name in more]
    first = rng.sample(NAMES, rng.choice((0, 0, 1, 2)))  # change before others
    at = rng.uniform(1.5, length / 2)
    while at < length:
        found += _together(rng, source, at, first)
        at += rng.choice((rng.uniform(3.0, 5.0), rng.uniform(0.5, length)))
    for number, step in enumerate(found):
        if step.do == "put" and step.what.split()[0] in first:
            found[number] = msgspec.structs.replace(step, what=f"{step.what} {CANARY}")
    size = rng.choice(("1", "2", "2", "50%") if first else ("1", "1", "2", "50%"))
    return size, rng.choice((1, 1, 1, 2)), sorted(found, key=lambda step: step.at)


def _in_rollout(rng: Random, step: Step, source: str) -> Step:
    """The fleet begins with vassals of one source, most of which run well."""
    if step.do != "put":
        return step
    what = step.what.removesuffix(f" {REPLACES}")
    if step.at:
        return msgspec.structs.replace(step, what=what)
    if rng.random() < 0.5:
        what = f"{what.split()[0]} healthy"
    whom = source if rng.random() < 0.8 else step.whom
    return msgspec.structs.replace(step, whom=whom, what=what)


def _together(rng: Random, source: str, at: float, first: list[str]) -> list[Step]:
    """Changes that come together. Mostly one of the first fails, and an instance of the last dies.

    An operator may say how it goes on.
    """
    worst = rng.choice(("crashes", "crashes", "healthy fails", "healthy fails", "noexec"))
    names = rng.sample(NAMES, rng.randint(3, 5))
    if rng.random() < 0.5:
        names.sort(key=lambda name: name not in first)
    found = []
    for number, name in enumerate(names):
        sick = not number and rng.random() < (0.3 if first else 0.7)
        behaviour = worst if sick else _behaviour(rng)
        found.append(Step(round(at + 0.04 * number, 3), "put", source, f"{name} {behaviour}"))
    found.append(Step(round(at + rng.uniform(0.5, 2.0), 3), "exit", names[-1]))
    words = ((), (), (), ("continue",), ("continue",), ("abort",), ("abort", "continue"))
    for number, word in enumerate(rng.choice(words), 1):
        found.append(Step(round(at + number * rng.uniform(0.2, 1.5), 3), "rollout", what=word))
    return found


def _is_on_demand(what: str) -> bool:
    return bool({"demand", "shares"} & set(what.split()))


def _pressure(rng: Random, length: float) -> list[Step]:
    """The machine's pressure changes now and then; steps of processors, memory, disks."""
    times = sorted(rng.uniform(0.0, length) for _ in range(rng.randint(1, 8)))
    return [
        Step(round(at, 3), "pressure", what=f"{rng.randint(0, 3)} {rng.choice((0, 0, 2, 4))} 0")
        for at in times
    ]


def _behaviour(rng: Random) -> str:
    return rng.choice(HEALTHY if rng.random() < 0.65 else SICK)


def _step(rng: Random, at: float) -> Step:
    group = rng.choices(list(_GROUPS), weights=[weight for weight, _ in _GROUPS.values()])[0]
    do = rng.choice(_GROUPS[group][1])
    whom, what, much = "", "", 0.0
    if group in ("change", "source"):
        whom = rng.choice(SOURCES)
    if group == "change":
        what = rng.choice(NAMES)
        if do == "put":
            what += f" {_behaviour(rng)}"
    elif group in ("vassal", "operator", "stranger"):
        whom = rng.choice(NAMES)
    if do in ("fail", "hold", "starve", "busy", "full", "slow"):
        much = round(rng.choice((0.3, 1.0, 3.0)) * rng.uniform(0.5, 1.5), 3)
    elif do == "keeper":
        much = rng.choice((0.0, round(rng.uniform(0.05, 2.0), 3)))
    elif do == "lie":
        what = rng.choice(("nothing", "half", "phantom"))
    elif do == "crash at":
        what, much = rng.choice(MOMENTS), rng.choice((1, 1, 2, 5))
    elif do == "wall":
        much = round(rng.choice((-86400.0, -3.0, 2.0, 3600.0)) * rng.uniform(0.5, 1.5), 3)
    elif do == "sources":
        what = " ".join(rng.sample(SOURCES, rng.randint(1, 3)))
    elif do == "max-starting":
        much = rng.randint(1, 3)
    elif do == "away":
        much = round(rng.uniform(0.5, 4.0), 3)
    return Step(at, do, whom, what, much)


_GROUPS: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "change": (30, ("put", "put", "put", "touch", "drop", "drop", "mistake")),
    "source": (12, ("fail", "raise", "lie", "repeat", "hold")),
    "vassal": (18, ("kill", "exit", "exile", "resign", "mute", "connect", "connect")),
    "operator": (12, ("stop", "stop", "start", "start", "reload", "restart", "retry")),
    "stranger": (2, ("stranger",)),
    "machine": (6, ("starve", "busy", "keeper")),
    "reboot": (1, ("reboot",)),
    "disk": (8, ("full", "slow", "hiccup")),
    "crash": (24, ("crash", "crash at", "crash at", "crash at", "away")),
    "daemon": (8, ("term", "term twice", "hup", "urg", "usr2")),
    "next life": (6, ("wall", "sources", "max-starting")),
}
