"""The option ``rollout=`` of a monitor: taken off its URL, which names the source as before."""

import pytest
from emperord.daemon.rollout_sizes import parted
from emperord.journal.policy import Policy
from emperord.monitors.urls import MonitorURLError


@pytest.mark.parametrize(
    ("given", "monitor", "size"),
    [
        ("dir:///etc/vassals?rollout=2", "dir:///etc/vassals", "2"),
        ("dir:///etc/vassals?rollout=25%", "dir:///etc/vassals", "25%"),
        ("dir:///etc/vassals?rollout=25%25", "dir:///etc/vassals", "25%"),
        (
            "amqp://localhost/?queue=fleet&rollout=3",
            "amqp://localhost/?queue=fleet",
            "3",
        ),
        (
            "amqp://localhost/?rollout=3&queue=fleet",
            "amqp://localhost/?queue=fleet",
            "3",
        ),
    ],
)
def test_it_is_taken_off(given: str, monitor: str, size: str) -> None:
    texts, policy = parted([given, "glob:///srv/?.ini"], Policy(rollout="9"))
    assert texts == (monitor, "glob:///srv/?.ini")
    ((url, told),) = policy.rollout_of
    assert told == size
    assert "rollout" not in url
    assert policy.rollout_size(url) == size
    assert policy.rollout_size("another") == "9"


@pytest.mark.parametrize("size", ["0", "", "-1", "101%", "two", "1.5"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(MonitorURLError, match="is no number of vassals"):
        parted([f"dir:///etc/vassals?rollout={size}"], Policy())


def test_a_password_is_not_told() -> None:
    with pytest.raises(MonitorURLError) as caught:
        parted(["amqp://me:secret@localhost/?rollout=none"], Policy())
    assert "secret" not in str(caught.value)
