"""Shares, charts, calls, utilisation and small numbers: against published values, brute force and hand counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch import events as ev
from sla import charts
from sla.calls import call_figures
from sla.disclosure import SMALL_N, blanks, lumped, with_totals
from sla.groups import group, shift_of
from sla.live import SlaFold
from sla.outcome import PHASE_BUDGET_S, PHASES
from sla.statistics import quantiles, share, wilson
from sla.timeline import Timeline
from sla.utilisation import ALL, Utilisation
from tests.sla.journals import Journal, at

# --- shares and quantiles


@pytest.mark.parametrize(
    ("within", "n", "low", "high"),
    [(8, 10, 0.4901625, 0.9433178), (0, 20, 0.0, 0.1611252), (1594, 2098, 0.7410297, 0.7775543)],
)
def test_the_wilson_interval_has_its_published_values(within: int, n: int, low: float, high: float) -> None:
    """First two as tabled (8/10: 0.490 to 0.943; 0/20: 0 to 0.161); the third is San Francisco's week."""
    assert wilson(within, n) == (pytest.approx(low, abs=2e-4), pytest.approx(high, abs=2e-4))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_bounds_solve_the_score_equation(pair: tuple[int, int]) -> None:
    """Each bound p0 is where |p - p0| = z sqrt(p0 (1 - p0) / n), and the interval holds the share."""
    within, n = pair
    p, z = within / n, 1.959963984540054
    low, high = wilson(within, n)
    assert low <= p <= high
    for bound in (low, high):
        if 0 < bound < 1:
            assert (p - bound) ** 2 == pytest.approx(z * z * bound * (1 - bound) / n, abs=1e-9)


def test_no_emergencies_give_no_share() -> None:
    assert share(0, 0).share is None


def test_nobody_reached_lengthens_the_tail_instead_of_leaving_it() -> None:
    """Nine measured, one never reached: p50 as measured, p99 unknown rather than the longest measured."""
    found = quantiles([*(float(s) for s in range(100, 1000, 100)), None])
    assert (found.p50, found.p90, found.p99) == (500.0, 900.0, None)
    assert (found.measured, found.missing) == (9, 1)


def test_the_phase_budgets_sum_to_the_target() -> None:
    assert sum(PHASE_BUDGET_S[name] for name in PHASES) == 420.0


# --- charts


def test_a_p_chart_flags_the_day_that_fell_and_not_the_noise() -> None:
    """Twelve days around 80 % of 100, then one at 60 %: only that one is below the lower limit of 68 %."""
    days = [(f"d{i}", 80 + (-1) ** i * 3, 100) for i in range(12)]
    points = charts.p_chart([*days, ("bad", 60, 100)], baseline=12)
    assert [p.label for p in points if p.signal] == ["bad"]
    assert points[-1].low == pytest.approx(0.8 - 3 * math.sqrt(0.8 * 0.2 / 100))


def test_eight_days_on_one_side_are_a_change_even_inside_the_limits() -> None:
    days = [(f"d{i}", 80 + (-1) ** i * 3, 100) for i in range(12)]
    shifted = [(f"s{i}", 84, 100) for i in range(8)]
    points = charts.p_chart([*days, *shifted], baseline=12)
    assert [p.label for p in points if p.signal == "run_above"] == ["s7"]


def test_a_day_with_too_few_is_marked_rough_and_never_alarms() -> None:
    (point,) = charts.p_chart([("d", 0, 3)])[-1:]
    assert (point.rough, point.signal) == (True, "")


def test_an_individuals_chart_has_wheelers_limits() -> None:
    """10, 12, 10, 12...: mean 11, mean moving range 2, limits 11 +- 5.32."""
    values = [(str(i), 10.0 + 2 * (i % 2)) for i in range(10)]
    points = charts.imr_chart([*values, ("x", 17.0)], baseline=10)
    assert (points[0].low, points[0].high) == (pytest.approx(5.68), pytest.approx(16.32))
    assert [p.label for p in points if p.signal] == ["x"]


def test_a_spike_just_under_the_target_raises_an_alarm_and_honest_times_do_not() -> None:
    """Forty arrivals moved from just over to just under 420 s among evenly spread ones."""
    honest = [380.0 + i for i in range(80) for _ in range(4)]
    assert not charts.spike_under(honest).alarm
    moved = [415.0 if 420 < t <= 430 else t for t in honest]
    assert charts.spike_under(moved).alarm


def test_the_binomial_tail_sums_exactly() -> None:
    assert charts.binomial_tail(3, 5, 0.5) == pytest.approx(0.5)
    assert charts.binomial_tail(0, 0, 0.3) == 1.0


# --- calls


def test_an_abandoned_call_counts_as_not_answered_and_a_call_back_is_not_an_answer() -> None:
    """Answered after 8 s, after 17 s, abandoned after 60 s and called back, abandoned after 4 s, still ringing 5 s."""
    journal = Journal()
    for name, ring in (("a", 0), ("b", 0), ("c", 0), ("d", 0)):
        journal.ring(ring, name)
    journal.add(4, ev.CallAbandoned(report_id="d"))
    journal.answer(8, "a")
    journal.answer(17, "b")
    journal.add(60, ev.CallAbandoned(report_id="c"))
    journal.answer(90, "c")
    journal.ring(200, "e")
    timeline = Timeline().apply_all(journal.told)
    figures = call_figures(timeline.reports.values(), at(205))
    assert (figures.presented, figures.answered, figures.waiting) == (5, 2, 1)
    assert (figures.abandoned, figures.abandoned_short, figures.called_back, figures.unheard) == (2, 1, 1, 1)
    assert [(figures.within[s].within, figures.within[s].n) for s in ("10", "15", "20")] == [(1, 4), (1, 4), (2, 4)]
    assert figures.call_back.p50 == 30.0
    later = call_figures(timeline.reports.values(), at(900))
    assert (later.waiting, later.within["20"].n, later.unheard) == (0, 5, 2)


# --- utilisation


def test_uhu_is_the_share_of_duty_time_spent_on_jobs() -> None:
    """On duty 0-10,000 s, on a job 1,000-3,000 s: 0.2."""
    journal = Journal()
    journal.add(0, ev.DutyStarted(unit_id="A-01", crew=[]))
    journal.assign(1_000, "a", "i1")
    journal.add(3_000, ev.UnitCleared(assignment_id="a", unit_id="A-01", incident_id="i1"))
    journal.add(10_000, ev.DutyEnded(unit_id="A-01"))
    fold = Utilisation()
    for entry in journal.told:
        fold.apply(entry)
    assert fold.use(at(20_000))["A-01"].uhu == pytest.approx(0.2)
    assert fold.use(at(20_000))["A-01"].jobs == 1


def test_a_window_without_a_free_unit_is_timed_and_one_without_anybody_on_duty_is_told_apart() -> None:
    """Both ambulances busy from 200 to 500 s; nobody on duty after 900 s."""
    journal = Journal()
    journal.add(0, ev.DutyStarted(unit_id="A-01", crew=[]))
    journal.add(0, ev.DutyStarted(unit_id="A-02", crew=[]))
    journal.assign(100, "a", "i1", unit="A-01")
    journal.assign(200, "b", "i2", unit="A-02")
    journal.add(500, ev.UnitCleared(assignment_id="a", unit_id="A-01", incident_id="i1"))
    journal.add(800, ev.DutyEnded(unit_id="A-01"))
    journal.add(850, ev.UnitCleared(assignment_id="b", unit_id="A-02", incident_id="i2"))
    journal.add(900, ev.DutyEnded(unit_id="A-02"))
    fold = Utilisation({"A-01": ["ambulance"], "A-02": ["ambulance"]})
    for entry in journal.told:
        fold.apply(entry)
    windows = [(w.group, w.began_at, w.ended_at, w.nobody_on_duty) for w in fold.zero_windows(at(1_000))]
    for name in (ALL, "ambulance"):
        assert (name, at(200), at(500), False) in windows
        assert (name, at(800), at(850), False) in windows
        assert (name, at(900), None, True) in windows
    assert fold.zero_s["ambulance"] == 350.0


def test_a_unit_that_declines_is_free_again_and_one_out_of_service_is_not() -> None:
    journal = Journal()
    journal.add(0, ev.DutyStarted(unit_id="A-01", crew=[]))
    journal.assign(100, "a", "i1")
    journal.add(130, ev.JobUnanswered(assignment_id="a", unit_id="A-01", incident_id="i1"))
    journal.add(130, ev.UnitOutOfService(unit_id="A-01", reason="tidak menjawab"))
    journal.add(400, ev.UnitReturned(unit_id="A-01"))
    fold = Utilisation()
    for entry in journal.told:
        fold.apply(entry)
    use = fold.use(at(1_000))["A-01"]
    assert (use.busy_s, use.out_s, use.duty_s) == (30.0, 270.0, 1_000.0)
    assert fold.zero_s[ALL] == 300.0


# --- groups


def test_groups_sum_to_the_whole_and_hours_are_local() -> None:
    """The journal starts at 01:00 UTC, which is 08:00 in Surabaya."""
    journal = Journal()
    journal.call(0, "i1")
    journal.respond(60, 300, "i1")
    journal.call(2_000, "i2", zone=None)
    journal.respond(2_060, 2_900, "i2")
    journal.call(4_000, "i3", priority=3)
    live = SlaFold()
    for entry in journal.told:
        live.apply(entry)
    rows = live.outcomes(at(90_000))
    assert [(g.key, g.share.within, g.share.n) for g in group(rows, "hour", 7.0)] == [("08", 1, 2)]
    assert [(g.key, g.share.n) for g in group(rows, "zone", 7.0)] == [("-", 1), ("35.78.05", 1)]
    for by in ("hour", "weekday", "day", "month", "shift", "kind", "zone", "unit"):
        assert sum(g.share.n for g in group(rows, by, 7.0)) == 2


@pytest.mark.parametrize(("hour", "name"), [(7, "pagi"), (13, "pagi"), (14, "sore"), (21, "malam"), (3, "malam")])
def test_every_hour_belongs_to_one_shift(hour: int, name: str) -> None:
    assert shift_of(hour) == name


# --- small numbers


@settings(deadline=None)
@given(
    st.integers(2, 5).flatmap(
        lambda w: st.lists(st.lists(st.integers(0, 12), min_size=w, max_size=w), min_size=2, max_size=6)
    )
)
def test_no_blanked_cell_can_be_computed_from_what_is_printed(counts: list[list[int]]) -> None:
    """Against linear algebra: a blanked cell is safe when its unit vector is outside the row space of what is known.

    Unless its whole printed row and column are blank, in which case nothing is left to print.
    """
    table = with_totals(counts)
    blank = blanks(counts)
    rows, columns = len(table), len(table[0])
    assert all((i, j) in blank for i in range(rows) for j in range(columns) if 0 < table[i][j] < SMALL_N)
    # unknowns: every cell; equations: printed cells, and every row and column sums to its total
    size = rows * columns
    equations = []
    for i in range(rows):
        for j in range(columns):
            if (i, j) not in blank:
                equations.append(np.eye(size)[i * columns + j])
    for i in range(rows):
        line = np.zeros(size)
        line[i * columns : i * columns + columns - 1], line[i * columns + columns - 1] = 1, -1
        equations.append(line)
    for j in range(columns):
        line = np.zeros(size)
        line[j : (rows - 1) * columns : columns], line[(rows - 1) * columns + j] = 1, -1
        equations.append(line)
    known = np.array(equations)
    rank = np.linalg.matrix_rank(known)
    for i, j in blank:
        unit = np.eye(size)[i * columns + j]
        assert np.linalg.matrix_rank(np.vstack([known, unit])) == rank + 1, f"{(i, j)} of {table} with {blank}"


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8)
)
def test_lumping_leaves_no_small_cell_or_lumps_everything(counts: dict[str, tuple[int, int]]) -> None:
    """What stays apart has no cell of 1 to 4; neither has the lump, unless there is nothing left to add to it."""
    together = lumped(counts)
    assert all(n == 0 or n >= SMALL_N for key, cells in counts.items() if key not in together for n in cells)
    lump = [sum(counts[k][j] for k in together) for j in (0, 1)]
    assert together == set(counts) or all(n == 0 or n >= SMALL_N for n in lump)


def test_a_table_of_large_numbers_is_printed_whole() -> None:
    assert blanks([[20, 30], [40, 50]]) == set()
