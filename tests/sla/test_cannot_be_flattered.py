"""No later record can raise SLA-7, and the records that must never matter do not matter at any moment."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatch import events as ev
from sla.live import SlaFold
from sla.outcome import outcome
from tests.sla.histories import Day, counted, fold, honest_day, meddled, tampered
from tests.sla.journals import WHO, at

HISTORIES = 2_000  # of each property in the plain run; the slow test walks 100,000 by seed
HISTORIES_SLOW = 100_000
# The same histories at every plain run, so that a change is judged by itself; new ones are the slow test's business.
quick = settings(
    max_examples=HISTORIES, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
fewer = settings(quick, max_examples=500)
rngs = st.randoms(use_true_random=False)


def assert_not_raised(before: tuple[int, int], after: tuple[int, int], what: str) -> None:
    """(within, n): within may not grow, nor within/n (compared without division; a figure from nothing is 0 of n)."""
    (w, n), (w2, n2) = before, after
    assert w2 <= w, f"{what}: within rose from {w} to {w2}"
    assert w2 * n <= w * n2, f"{what}: share rose from {w}/{n} to {w2}/{n2}"


def explain(day: Day) -> str:
    return "\n".join(
        f"{n:3} {'DEL' if n in day.deleted else '   '} {s:8.1f} {e}" for n, (s, e) in enumerate(day.lines, 1)
    )


@quick
@given(rngs, st.integers(1, 6))
def test_no_sequence_of_later_records_raises_the_figure(rng: random.Random, acts: int) -> None:
    """Edits, grades, splits, merges, cancellations, re-openings, late syncs, clock jumps, corrections, deletions."""
    honest = honest_day(rng)
    after = tampered(rng, honest, acts)
    assert_not_raised(counted(honest), counted(after), explain(after))


@quick
@given(rngs, st.integers(1, 4))
def test_edits_downgrades_splits_old_stamps_and_corrections_do_not_raise_it_at_any_moment(
    rng: random.Random, acts: int
) -> None:
    """The same while the outcome is still open."""
    honest = honest_day(rng)
    after = meddled(rng, honest, acts)
    assert_not_raised(counted(honest), counted(after), explain(after))


@fewer
@given(rngs, st.integers(0, 4))
def test_every_emergency_is_counted_or_listed_exactly_once(rng: random.Random, acts: int) -> None:
    """within + late + left out = everything ever opened: nothing disappears."""
    day = tampered(rng, honest_day(rng), acts)
    timeline = fold(day)
    tally = timeline.tally(at(20_000))
    listed = [i for ids in (*tally.late.values(), *tally.excluded.values()) for i in ids]
    assert len(listed) == len(set(listed))
    on_time = len(timeline.cases) - len(listed)
    assert on_time >= 0
    assert tally.n == on_time + sum(len(ids) for ids in tally.late.values()) + tally.missing_lines
    assert tally.within == max(0, on_time - tally.missing_lines)


@fewer
@given(rngs, st.integers(0, 4))
def test_the_phases_of_any_response_sum_to_it_exactly(rng: random.Random, acts: int) -> None:
    """Whatever stamps are missing, equal, reversed or corrected."""
    timeline = fold(tampered(rng, honest_day(rng), acts))
    for case in timeline.cases.values():
        row = outcome(case, timeline, None)
        if row.phases:
            assert row.response_s is not None
            assert abs(sum(s for s in row.phases.values() if s is not None) - row.response_s) < 1e-6
            assert all(s is None or s >= 0.0 for s in row.phases.values())


@fewer
@given(rngs)
def test_the_figure_does_not_depend_on_when_it_is_asked(rng: random.Random) -> None:
    """Asking every line of the way settles nothing differently from asking once at the end."""
    day = honest_day(rng)
    quiet = counted(day)
    asked = fold(Day())
    for number, (seconds, event) in enumerate(day.lines, start=1):
        asked.apply(ev.Entry(region="r", seq=number, at=at(seconds), actor=WHO, event=event))
        asked.tally(at(seconds))
    tally = asked.tally(at(20_000), last_seq_expected=len(day.lines))
    assert (tally.within, tally.n) == quiet


@fewer
@given(rngs, st.integers(0, 5))
def test_rows_kept_between_questions_are_never_stale(rng: random.Random, acts: int) -> None:
    """A live fold asked after every line ends with the rows of one that was never asked before."""
    day = tampered(rng, honest_day(rng), acts)
    asked, quiet = SlaFold(), SlaFold()
    for number, (seconds, event) in enumerate(day.lines, start=1):
        entry = ev.Entry(region="r", seq=number, at=at(seconds), actor=WHO, event=event)
        if number not in day.deleted:
            asked.apply(entry)
            quiet.apply(entry)
            asked.outcomes(at(seconds))
    assert asked.outcomes(at(20_000)) == quiet.outcomes(at(20_000))
    assert asked.headline(at(20_000)) == quiet.headline(at(20_000))


FOUND_BY_SEED = (51_218, 12_939, 52_435)
"""Seeds that once raised the figure. 51218: the first line of a report deleted, then two splits of that report. 12939: an
emergency merged into a lesser one that had been cancelled. 52435: a case somebody stood at joined to one that was graded up
later."""


@pytest.mark.parametrize("seed", FOUND_BY_SEED)
def test_a_history_that_once_raised_the_figure_no_longer_does(seed: int) -> None:
    """Failing seeds are kept."""
    walk(seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_histories_do_not_raise_it() -> None:
    """By seed, half tampered with afterwards and half meddled with as they ran; a failure names its seed."""
    for seed in range(HISTORIES_SLOW):
        walk(seed)


def walk(seed: int) -> None:
    rng = random.Random(seed)
    honest = honest_day(rng)
    after = (tampered if seed % 2 == 0 else meddled)(rng, honest, rng.randint(1, 6))
    assert_not_raised(counted(honest), counted(after), f"seed {seed}\n{explain(after)}")
