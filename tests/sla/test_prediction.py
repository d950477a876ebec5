"""Forecasts of open emergencies, and the reckoning of warnings afterwards."""

from __future__ import annotations

import math
import random

import pytest

from dispatch import events as ev
from sla.prediction import Coming, Option, budgets, chance_by, forecast, quantile_s
from sla.timeline import Timeline
from sla.warnings import warning_figures
from tests.sla.journals import Journal, at


def opened(**more: float) -> Journal:
    journal = Journal()
    journal.call(0, "i1")
    if more:
        journal.assign(60, "a", "i1", **more)
    return journal


def fold(journal: Journal) -> Timeline:
    return Timeline().apply_all(journal.told)


def test_the_quantile_is_where_the_chance_reaches_it() -> None:
    """Against the distribution itself, for two units together."""
    units = [Coming("a", 240, 80), Coming("b", 300, 60)]
    for q in (0.1, 0.5, 0.9):
        t = quantile_s(units, q)
        assert chance_by(units, t) >= q > chance_by(units, t - 1.0)


def test_the_chance_of_two_units_agrees_with_drawing_them() -> None:
    """50,000 draws of two independent log-normal arrivals, to one point."""
    rng = random.Random(7)
    units = [Coming("a", 300, 100), Coming("b", 320, 80)]

    def draw(unit: Coming) -> float:
        variance = math.log(1 + (unit.sd_s / unit.eta_s) ** 2)
        return math.exp(rng.gauss(math.log(unit.eta_s) - variance / 2, math.sqrt(variance)))

    hits = sum(min(draw(u) for u in units) <= 280 for _ in range(50_000))
    assert chance_by(units, 280) == pytest.approx(hits / 50_000, abs=0.01)


def test_a_crew_that_does_not_roll_puts_the_arrival_back() -> None:
    """Promised at 60 + 240 = 300 s; still standing at 180 s, a minute longer than a turnout: about 360 s now."""
    timeline = fold(opened(eta_s=240, sd_s=40))
    early = forecast(timeline.cases["i1"], at(100))
    late = forecast(timeline.cases["i1"], at(180))
    assert early is not None
    assert late is not None
    assert early.coming[0].eta_s == 200
    assert late.coming[0].eta_s == 180
    assert late.chance < early.chance


def test_with_nobody_coming_budgets_stand_in_and_are_called_assumed() -> None:
    timeline = fold(opened())
    found = forecast(timeline.cases["i1"], at(45), at(8))
    assert found is not None
    assert (found.assumed, found.coming) == (True, [])
    worse = forecast(timeline.cases["i1"], at(200), at(8))
    assert worse is not None
    assert worse.late


def test_a_remedy_names_its_gain_and_small_gains_are_not_proposed() -> None:
    """The coming unit needs 350 s more; one 120 s away gains, one 345 s away hardly does."""
    timeline = fold(opened(eta_s=350, sd_s=50))
    options = [Option("faster_unit", "M-1", 120), Option("mutual_aid", "X-9", 5_000)]
    found = forecast(timeline.cases["i1"], at(60), at(8), options)
    assert found is not None
    (remedy,) = found.remedies
    assert (remedy.unit_id, remedy.kind) == ("M-1", "faster_unit")
    assert remedy.gain_s is not None
    assert 180 < remedy.gain_s < 260
    assert remedy.chance > found.chance


def test_the_budget_of_the_running_phase_counts_up_and_past_ones_keep_their_time() -> None:
    timeline = fold(opened(eta_s=240))
    rows = {b.phase: b for b in budgets(timeline.cases["i1"], at(8), at(90))}
    assert (rows["answer"].spent_s, rows["entry"].spent_s, rows["decision"].spent_s) == (8, 32, 20)
    assert (rows["decision"].over_s, rows["alert"].running, rows["alert"].spent_s) == (10, True, 30)
    assert rows["travel"].spent_s is None


def test_there_is_nothing_to_forecast_once_somebody_is_there() -> None:
    journal = opened(eta_s=100)
    journal.arrive(150, "a", "i1")
    timeline = fold(journal)
    assert forecast(timeline.cases["i1"], at(160)) is None


def warned(journal: Journal, seconds: float, incident: str) -> None:
    journal.add(seconds, ev.ResponseAtRisk(incident_id=incident, deadline=at(420), chance=0.2, gain_s=40.0))


def test_recall_and_precision_count_warnings_at_least_two_minutes_ahead() -> None:
    """i1 late, warned at 200; i2 late, warned too late; i3 on time after a warning; i4 late, known only 90 s before."""
    journal = Journal()
    journal.call(0, "i1")
    warned(journal, 200, "i1")
    journal.respond(210, 600, "i1")
    journal.call(1_000, "i2")
    warned(journal, 1_301, "i2")
    journal.respond(1_310, 1_600, "i2")
    journal.call(2_000, "i3")
    warned(journal, 2_100, "i3")
    journal.respond(2_110, 2_400, "i3")
    journal.ring(3_000, "r4")
    journal.open(3_330, "i4", "r4", 3_000)
    journal.respond(3_340, 3_600, "i4")
    figures = warning_figures(fold(journal), at(90_000))
    assert (figures.late, figures.late_warned, figures.hopeless, figures.warned) == (3, 1, 1, 2)
    assert figures.recall == pytest.approx(1 / 3)
    assert figures.recall_of_possible == 0.5
    assert figures.precision == 0.5
    assert figures.acted_on == 2


def test_without_late_responses_there_is_no_recall() -> None:
    figures = warning_figures(fold(Journal()), at(0))
    assert (figures.recall, figures.precision) == (None, None)


def test_who_took_a_warning_on_and_what_went_up_the_ladder_is_counted() -> None:
    """One taken on at the desk, one that had to go to the supervisor."""
    journal = Journal()
    for number, incident in enumerate(("i1", "i2")):
        start = 1_000.0 * number
        journal.call(start, incident)
        risk = ev.ResponseAtRisk(incident_id=incident, deadline=at(start + 420), chance=0.1)
        journal.add(start + 100, risk)
    journal.add(1_120, ev.WarningAcknowledged(incident_id="i1"))
    journal.add(1_121, ev.WarningEscalated(incident_id="i2", level=2, to="supervisor"))
    figures = warning_figures(fold(journal), at(5_000))
    assert (figures.warned, figures.taken_on, figures.escalated) == (2, 1, 1)
