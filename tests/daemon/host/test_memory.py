"""Memory of a vassal: no table of its own for each object that all vassals have."""

import pytest
from emperord.daemon.host.orders import Orders
from emperord.daemon.host.process import Process
from emperord.daemon.host.read_limit import ReadLimit
from emperord.daemon.keeper import protocol
from emperord.journal.leaky_bucket import Bucket
from emperord.monitors.contract import Seen
from emperord.monitors.files.file_state import Record


@pytest.mark.parametrize("kind", [Process, ReadLimit, Orders, Bucket, Seen, Record])
def test_an_object_of_each_vassal_has_slots(kind: type) -> None:
    assert kind.__dictoffset__ == 0


def test_the_keeper_has_one_copy_of_the_keys_of_its_facts() -> None:
    about = {"mark": "m", "spec": {"config": "c", "path": "p"}, "said": [1]}
    memory = protocol.Memory(lambda _: None)
    for number in range(2):
        packet = {"do": "keep", "name": f"{number}:a.ini", "about": about}
        for each in memory.heard(protocol.encode(packet), [number], cut=False):
            memory.told(each, [number])
    (first, _), (second, _) = memory.kept.values()
    assert first == second == about
    for one, other in ((first, second), (first["spec"], second["spec"])):
        assert all(a is b for a, b in zip(one, other, strict=True))
