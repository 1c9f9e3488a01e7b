"""Values that are dropped after some seconds."""

import trio
import trio.testing
from emperord.daemon.host.expiring import Expiring


def test_a_value_is_dropped_after_its_time_whatever_is_asked_for() -> None:
    clock = trio.testing.MockClock()

    async def use() -> None:
        kept: Expiring[str, int] = Expiring(60)
        kept.put("a.ini", 1)
        kept.put("b.ini", 2)
        clock.jump(40)
        kept.put("a.ini", 3)
        assert len(kept) == 2
        clock.jump(20)
        assert len(kept) == 1
        assert kept.take("b.ini") is None
        assert kept.take("a.ini") == 3
        assert kept.take("a.ini") is None

    trio.run(use, clock=clock)
