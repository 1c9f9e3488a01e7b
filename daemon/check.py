"""``emperor --check``: what would be run, without running it."""

import os
import shlex
from collections.abc import Sequence

import trio

from ..journal.policy import Policy
from ..monitors import contract
from ..monitors.names import shown
from ..monitors.registry import ANNOUNCING
from . import command, starting
from .listeners import binds_itself
from .moves import bar_reason

_PATIENCE = 30.0  # seconds for a source to say its first word


async def check(
    monitors: Sequence[contract.Monitor], policy: Policy, left_out: Sequence[str] = ()
) -> int:
    """Print what each source has; 0 if all of it could run, 1 if not.

    ``left_out`` says which files were given as monitors and are none.
    """
    flaws = len(left_out)
    for line in left_out:
        _say(f"left out: {line}")
    owners: dict[str, str] = {}
    for monitor in monitors:
        _say(monitor.url)
        if monitor.url.startswith(ANNOUNCING):
            # To listen would be to take its messages away from the daemon.
            _say("  announces its vassals: there is nothing to read beforehand")
            continue
        observation = await _first_word(monitor)
        if not isinstance(observation, contract.Listing):
            reason = observation.reason if isinstance(observation, contract.Failed) else "silent"
            _say(f"  cannot be read: {reason}")
            flaws += 1
            continue
        for name, seen in sorted(observation.seen.items()):
            flaw, line = _would_run(name, seen, policy, monitor.url)
            if name in owners:
                owner = owners[name]
                flaw = True
                line = f"rejected: the name belongs to {owner}, which is given before this source"
            owners.setdefault(name, monitor.url)
            flaws += flaw
            _say(f"  {name}: {line}")
        for label, reason in sorted(observation.refused.items()):
            _say(f"  {label}: rejected: {reason}")
            flaws += 1
    return 1 if flaws else 0


def _say(line: str) -> None:
    print(shown(line))  # names, paths and reasons can be anybody's


def _would_run(name: str, seen: contract.Seen, policy: Policy, source: str) -> tuple[bool, str]:
    spec = seen.spec
    reason = bar_reason(spec, policy, source)
    if reason is not None:
        return True, f"barred: {reason}"
    try:
        words = command.argv(name, spec, policy)
        command.check_program(words[0], spec.cwd or "")
    except command.CannotRun as error:
        return True, f"barred: {error}"
    except OSError as error:
        return True, f"barred: {starting.explain(error)[0]}"
    line = shlex.join(words)
    if spec.socket is not None:
        theft = seen.content is not None and binds_itself(seen.content, spec.socket)
        warning = ", which its config must not bind itself: remove that line" if theft else ""
        line += f"  (on demand at {spec.socket}{warning})"
    return False, line + (f"  (in {spec.cwd})" if spec.cwd and spec.cwd != os.getcwd() else "")


async def _first_word(monitor: contract.Monitor) -> contract.Observation | None:
    heard: list[contract.Observation] = []
    with trio.move_on_after(_PATIENCE) as scope:

        async def tell(*observations: contract.Observation) -> None:
            heard.extend(observations)
            scope.cancel()
            await trio.lowlevel.checkpoint()

        await monitor.run(tell, {})
    return heard[0] if heard else None
