"""The choice of cases depends on the seed and the names of call sites, not on how calls count."""

from typing import Final

from .cases import Case, all_cases, each_site, is_site, sampled

COUNTS: Final = {
    step: {
        f"{role} {function} state/{file}": 5
        for role in ("daemon", "keeper")
        for function in ("open", "read", "write", "fsync", "stat")
        for file in ("journal.db", "journal.db-wal", "lock")
    }
    for step in ("start", "add", "kill")
}
# Another count of the same: other numbers of calls, and one site was not met.
LOST: Final = ("add", "daemon read state/lock")
AGAIN: Final = {
    step: {
        target: calls + 7 * (index % 3)
        for index, (target, calls) in enumerate(targets.items())
        if (step, target) != LOST
    }
    for step, targets in COUNTS.items()
}


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


def test_a_seed_gives_the_same_sample_whatever_was_counted() -> None:
    one, other = all_cases(COUNTS), all_cases(AGAIN)
    for seed in range(20):
        expected = [case for case in sampled(one, 60, seed) if case.site != LOST]
        assert names(sampled(other, 60, seed))[: len(expected)] == names(expected)
    assert names(sampled(one, 60, 1)) != names(sampled(one, 60, 2))
    assert len(sampled(one, 10**6, 1)) == len(one)


def test_each_site_is_struck_once() -> None:
    sites = {(step, target) for step, found in COUNTS.items() for target in found}
    assert all(is_site(*site) for site in sites)
    chosen = each_site(all_cases(COUNTS), 1)
    assert len(chosen) == len(sites)
    assert {case.site for case in chosen} == sites
    expected = [case for case in chosen if case.site != LOST]
    assert names(each_site(all_cases(AGAIN), 1)) == names(expected)


def test_seeds_choose_all_faults_of_a_site() -> None:
    cases = all_cases(COUNTS)
    site = ("kill", "daemon write state/journal.db-wal")
    of_site = {case.name for case in cases if case.site == site}
    found = {
        case.name for seed in range(200) for case in each_site(cases, seed) if case.site == site
    }
    assert found == of_site
