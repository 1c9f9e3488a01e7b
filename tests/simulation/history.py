"""Histories that are told event by event, that the real fold decides, and the checker follows."""

from typing import Any

from emperord.daemon.core.actions import recorded
from emperord.journal.chain import canonical
from fold.script import Script

from .checker import Checker


class History:
    """The lines of a script, as the rows that they come to. Raises Violation."""

    def __init__(self, text: str) -> None:
        self.script, self.checker = Script(), Checker()
        self.checker.may_leave = True
        for line in filter(None, map(str.strip, text.splitlines())):
            self.feed(line)

    def feed(self, line: str) -> None:
        """One line; its orders are carried out."""
        script, checker = self.script, self.checker
        events, orders = len(script.events), len(script.actions)
        script.feed(line)
        for event in script.events[events:]:
            body: Any = event.body
            if event.kind == "exited":
                checker.ended(event.vassal or "", body.attempt, body.code, body.signal, known=True)
            actions = script.actions[orders:]
            row = (event.seq, event.at, event.kind, event.monitor, event.vassal, None)
            checker.appended([(*row, canonical(body).decode(), recorded(actions))])
            for action in actions:
                checker.carried_out(action.do, action.vassal, action.attempt)
