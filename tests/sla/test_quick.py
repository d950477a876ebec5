"""The board's quick figures are the report's figures, struct for struct, whatever the journal holds."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.events import Entry
from dispatch.pack import load
from sla.attribution import Attribution
from sla.columns import Ledger
from sla.figures import Figures, figures
from sla.live import SlaFold
from sla.quick import Rows, Slice, figures_of, headline_of, quantiles_of, standing
from sla.sample import START, journal
from sla.statistics import quantiles
from sla.utilisation import Utilisation
from tests.sla.histories import honest_day, meddled, tampered
from tests.sla.journals import START as HISTORY_START
from tests.sla.journals import WHO, at

REGION = load(Path(__file__).resolve().parents[2] / "regions" / "surabaya")
DAYS = 20


class Both:
    """The fold and the ledger, fed with the same lines."""

    def __init__(self) -> None:
        self.fold = SlaFold.of(REGION)
        self.attribution = Attribution(REGION, None)
        self.utilisation = Utilisation.of(REGION)
        self.ledger = Ledger(self.fold, REGION, self.attribution)
        self.fold.watch = self.ledger.mark

    def apply(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.fold.apply(entry)
            self.utilisation.apply(entry)

    def slow(self, since: datetime, until: datetime, now: datetime) -> Figures:
        found = figures(self.fold, since, until, now, REGION, self.utilisation, self.attribution)
        return msgspec.structs.replace(found, late_list=[], late_unlisted=found.late.late)

    def quick(self, since: datetime, until: datetime, now: datetime) -> Figures:
        while self.ledger.refresh(now, 7):
            pass
        stands = standing(self.ledger, REGION, self.utilisation, since, until, now)
        return figures_of(self.ledger.view(since, until), Slice(), stands)


@pytest.fixture(scope="module")
def drawn() -> Both:
    both = Both()
    both.apply(list(journal(DAYS, seed=7)))
    return both


NOW = START + timedelta(days=DAYS, hours=2)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (START, NOW),
        (START + timedelta(days=3, hours=5, microseconds=1), START + timedelta(days=9)),
        (START + timedelta(days=2), START + timedelta(days=2, minutes=20)),
        (NOW, NOW + timedelta(days=30)),
        (START - timedelta(days=900), START - timedelta(days=800)),
    ],
)
def test_quick_figures_are_the_reports_to_the_digit(drawn: Both, since: datetime, until: datetime) -> None:
    """Whole, odd, tiny, future and empty periods."""
    assert drawn.quick(since, until, NOW) == drawn.slow(since, until, NOW)


@settings(max_examples=60, deadline=None)
@given(rng=st.randoms(use_true_random=False), acts=st.integers(1, 12), meddle=st.booleans())
def test_merges_splits_corrections_and_holes_change_both_alike(rng: random.Random, acts: int, meddle: bool) -> None:
    """Random histories with everything that edits the past, asked about in the middle and at the end."""
    day = (meddled if meddle else tampered)(rng, honest_day(rng), acts)
    both = Both()
    lines = [
        Entry(region="r", seq=number, at=at(seconds), actor=WHO, event=event)
        for number, (seconds, event) in enumerate(day.lines, start=1)
        if number not in day.deleted
    ]
    middle = len(lines) // 2
    since, until = HISTORY_START - timedelta(days=2), HISTORY_START + timedelta(days=3)
    for part in (lines[:middle], lines[middle:]):
        both.apply(part)
        now = (part[-1].at if part else HISTORY_START) + timedelta(seconds=rng.randint(0, 900))
        assert both.quick(since, until, now) == both.slow(since, until, now)


def test_a_view_does_not_change_under_its_reader(drawn: Both) -> None:
    """Rows written after the view was taken are not in it."""
    both = Both()
    entries = list(journal(3, seed=9))
    half = len(entries) // 2
    both.apply(entries[:half])
    now = entries[half].at
    both.quick(START, NOW, now)
    view = both.ledger.view(START, NOW)
    before = headline_of(view)
    both.apply(entries[half:])
    both.quick(START, NOW, NOW)
    assert headline_of(view) == before
    assert headline_of(both.ledger.view(START, NOW)).n > before.n


def test_slices_sum_to_the_whole(drawn: Both) -> None:
    """Every counted emergency stands in exactly one kecamatan, kind, shift, weekday and hour."""
    drawn.quick(START, NOW, NOW)
    view = drawn.ledger.view(START, NOW)
    n = headline_of(view).n
    assert n > 200
    for slices in (
        [Slice(zone=z) for z in view.zones],
        [Slice(kind=k) for k in view.kinds],
        [Slice(shift=s) for s in ("pagi", "sore", "malam")],
        [Slice(weekday=d) for d in range(1, 8)],
        [Slice(hour=h) for h in range(24)],
        [Slice(verdict="late"), Slice(verdict="on_time")],
    ):
        assert sum(headline_of(view, s).n for s in slices) == n


def test_a_slice_nobody_belongs_to_is_empty_not_everything(drawn: Both) -> None:
    """Unknown names and impossible days select nothing."""
    drawn.quick(START, NOW, NOW)
    view = drawn.ledger.view(START, NOW)
    for nothing in (Slice(zone="bukan"), Slice(kind="'; DROP TABLE"), Slice(day="2026-13-45"), Slice(day="x")):
        assert len(Rows(view, nothing).all) == 0


@given(st.lists(st.one_of(st.none(), st.floats(0, 5000))))
def test_column_quantiles_are_the_lists(values: list[float | None]) -> None:
    """Missing ones count as longer than every measured one in both."""
    column = np.sort(np.array([np.nan if v is None else v for v in values], np.float64))
    assert quantiles_of(column) == quantiles(values)


def test_unit_use_of_two_periods_adds_up(drawn: Both) -> None:
    """What a unit spent in ten days and in the next ten is what it spent in twenty."""
    middle, end = START + timedelta(days=10), START + timedelta(days=DAYS)
    first = drawn.utilisation.use_between(START, middle, NOW)
    second = drawn.utilisation.use_between(middle, end, NOW)
    whole = drawn.utilisation.use_between(START, end, NOW)
    assert whole
    for unit, use in whole.items():
        assert use.jobs == first[unit].jobs + second[unit].jobs
        assert use.busy_s == pytest.approx(first[unit].busy_s + second[unit].busy_s)
        assert use.duty_s == pytest.approx(DAYS * 86_400.0)
