"""The liveness of a run: whether the fleet is what the sources say, and if not, why not.

It compares what the sources have, what runs, and what the daemon thinks runs, and knows nothing
of how one comes from the other.
"""

import typing

from emperord.daemon.core.fleet import Vassal
from emperord.journal.events import Spec

from .script import AWAITED, HEALTHY, KEEPING
from .sources import Source

# Those that are up in the end, and stay so.
WELL: typing.Final = {*HEALTHY, *AWAITED, *KEEPING, "notifies", "begs"} - {"never", "sickens"}

if typing.TYPE_CHECKING:
    from .world import World


def unsettled(world: "World") -> str:
    """The first thing that is not as it should be; empty if there is none."""
    if world.life is None:
        return "there is no daemon"
    if world.checker.may_leave:
        return "the daemon is leaving"
    fleet = world.life.shell.fleet
    sources = [world.sources[kind] for kind in world.life.configured]
    for source in sources:
        if source.queue:
            return f"{source.url} has messages left"
    for rollout in fleet.rollouts.values():
        if rollout.held is None:
            return f"rollout {rollout.seq} of {rollout.monitor} is under way"
    claims = _claims(sources)
    for name in sorted(claims.keys() | fleet.vassals.keys()):
        reason = _wrong(world, name, claims.get(name, {}), fleet.vassals.get(name))
        if reason:
            return f"{name}: {reason}"
    names = {attempt.vassal for attempt in world.checker.living.values()}
    strangers = sorted(names - fleet.vassals.keys())
    if strangers:
        return f"{strangers} run and nobody wants them"
    unheard = sorted({*world.machine.listening, *world.machine.opened} - fleet.vassals.keys())
    return f"the addresses of {unheard} are open" if unheard else ""


def _claims(sources: list[Source]) -> dict[str, dict[str, Spec]]:
    """Vassal -> the sources that have it, in the order of the sources, and as what."""
    found: dict[str, dict[str, Spec]] = {}
    for source in sources:
        for name, seen in (source.has if source.lists else source.told).items():
            found.setdefault(name, {})[source.url] = seen.spec
    return found


def _wrong(world: "World", name: str, claims: dict[str, Spec], vassal: Vassal | None) -> str:
    running = world.machine.of(name)
    if vassal is not None and vassal.candidate is not None:
        return f"has two attempts, the second is {vassal.candidate.phase}"
    if not claims:
        return "nobody wants it, and it is there" if vassal or running else ""
    if vassal is None or not vassal.wanted:
        # A message that was rejected or orphaned is not said again.
        said_once = all(url.startswith("messages:") for url in claims)
        return "" if said_once and vassal is None and not running else "wanted, and is not there"
    if vassal.monitor not in claims:
        return f"belongs to {vassal.monitor}, which has it no longer"
    # A message that was rejected is not said again, so only sources that list are waited for.
    first = next((url for url in claims if not url.startswith("messages:")), vassal.monitor)
    order = list(claims)
    if order.index(first) < order.index(vassal.monitor):
        return f"belongs to {vassal.monitor}, and {first} is given before"
    if vassal.spec != claims[vassal.monitor]:
        return f"is {vassal.spec}, its source says {claims[vassal.monitor]}"
    held, owed = name in world.checker.held, name in world.checker.owed
    if vassal.held != held:
        return f"is {'' if vassal.held else 'not '}held, and by the record it is otherwise"
    if owed and running is not None:
        return "was to be reloaded, and that was not ordered"
    if vassal.done and name not in world.checker.done:
        return "counts as finished, and is another one since"
    if held:
        return "is held and runs" if running or vassal.phase != "held" else ""
    if vassal.check is not None:
        return "its preflight has no verdict"
    waits = _waits(world, vassal)
    if waits:
        return waits
    if waits is not None and vassal.target is None:
        return ""
    refused = vassal.spec.settings.get("preflight", "passes") != "passes"
    if vassal.refused is not None and name in world.checker.replacements.names:
        refused = True  # its new instance may have been ended by a fault
    if vassal.refused is not None and vassal.refused.rolled_back:
        refused = "rollback" in vassal.spec.settings
    approved = world.checker.approvals.holds(name) or name in world.checker.rollouts.waiting
    unsure = name in world.checker.approvals.unsure
    differs = not unsure and approved == refused
    if waits is None and ((vassal.refused is not None) != refused or differs):
        return f"its config is {'' if vassal.refused else 'not '}refused"
    if refused and vassal.target is None:
        return "" if running or vassal.phase == "barred" else f"is refused and {vassal.phase}"
    if vassal.phase == "barred" and (vassal.exiled or _sick(world, vassal)):
        return ""
    if vassal.phase == "barred" and vassal.aim.socket == "@shared":
        others = {n for n, a in world.machine.listening.items() if a == "@shared"} - {name}
        others |= {p.name for p in world.machine.processes.values() if p.address == "@shared"}
        return "" if others else "is barred, and nobody else has its address"
    return _poorly(world, vassal)


def _waits(world: "World", vassal: Vassal) -> str | None:
    """The fault of a vassal whose change waits in a rollout, or nothing; None if it does not."""
    if vassal.waits_in is None:
        return None
    if not world.checker.rollouts.holding.may_wait(vassal.name):
        return "waits for its turn in a rollout, and nothing holds it back"
    return ""


def _sick(world: "World", vassal: Vassal) -> bool:
    return _text(world, vassal).partition(" ")[0] not in WELL


def _text(world: "World", vassal: Vassal) -> str:
    return world.texts[vassal.aim.config]


def _poorly(world: "World", vassal: Vassal) -> str:
    """The fault of a vassal that is wanted and may run, or nothing."""
    machine, name = world.machine, vassal.name
    running, text = machine.of(name), _text(world, vassal)
    if _sick(world, vassal):
        return _forgotten(world, vassal)
    if vassal.aim.socket is not None and running is None:
        if machine.listening.get(name) != vassal.aim.socket:
            others = [p for p in machine.processes.values() if p.address == vassal.aim.socket]
            # A process that was adopted without its keeper has the address on its own.
            return _forgotten(world, vassal) if others else "nobody listens at its address"
        waits = name in machine.clients
        return "" if vassal.phase == "listening" and not waits else f"is {vassal.phase}"
    if running is None:
        return f"does not run, it is {vassal.phase}"
    if vassal.due:
        return "is still to be reloaded"
    if vassal.unopened is not None and running.config != text:
        return ""  # its change waits for an operator, or the next change
    if running.config != text:
        return f"runs {running.config!r}, wanted is {text!r}"
    if not running.accepting:
        return "does not accept"
    if running.mute and vassal.control:
        return "hangs"
    # For a vassal that cannot tell that it accepts, it is enough that it is up.
    known = ("accepting",) if vassal.speaks and vassal.control else ("ready", "accepting")
    return "" if vassal.phase in known else f"accepts, and is said to be {vassal.phase}"


def _forgotten(world: "World", vassal: Vassal) -> str:
    """A sick one dies again and again, and the daemon has to go on trying."""
    phase, now = vassal.phase, world.life.clock.now() if world.life else 0
    if phase in ("starting", "ready", "accepting", "reloading", "stopping"):
        return ""
    if phase == "throttled" and vassal.deadline is not None:
        late = (now - vassal.deadline) / 1e9
        return f"was to be tried {late} s ago" if late > 1 else ""
    return "" if phase in ("queued", "listening") else f"is {phase}"
