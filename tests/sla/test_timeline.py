"""The fold: exact phases, honest clocks, and every kind of bad line."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from dispatch import events as ev
from dispatch.model import Rejected
from sla.clocks import Correction
from sla.definition import Verdict, Why
from sla.live import SlaFold
from sla.outcome import outcome
from sla.timeline import Timeline
from tests.sla.journals import WHO, Journal, at

ON_TIME, LEFT_OUT, LATE = Verdict.ON_TIME, Verdict.LEFT_OUT, Verdict.LATE


def fold(journal: Journal) -> Timeline:
    return Timeline().apply_all(journal.told)


def verdict(journal: Journal, incident: str = "i1", now: float = 100_000) -> tuple[Verdict, Why]:
    timeline = fold(journal)
    return timeline.verdict(timeline.cases[incident], at(now))


def simple(arrived: float = 300, ring: float = 0) -> Journal:
    journal = Journal()
    journal.call(ring, "i1")
    journal.respond(ring + 60, arrived, "i1")
    return journal


# --- phases


def test_phases_sum_exactly_to_the_response_time() -> None:
    """Ring 0, answered 8, open 40, assigned 60, delivered 62, accepted 70, rolling 105, there 300."""
    timeline = fold(simple())
    row = outcome(timeline.cases["i1"], timeline, None)
    assert row.phases == {
        "answer": 8.0,
        "entry": 32.0,
        "decision": 20.0,
        "alert": 2.0,
        "acknowledgement": 8.0,
        "turnout": 35.0,
        "travel": 195.0,
    }
    assert row.response_s == 300.0


def test_a_step_without_a_stamp_has_no_phase_and_its_seconds_stand_in_the_next() -> None:
    """No device receipt and no acknowledgement: turnout runs from assignment."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(50, "a", "i1")
    journal.add(90, ev.UnitEnRoute(assignment_id="a"))
    journal.arrive(200, "a", "i1")
    timeline = fold(journal)
    row = outcome(timeline.cases["i1"], timeline, None)
    assert (row.phases["alert"], row.phases["acknowledgement"], row.phases["turnout"]) == (None, None, 40.0)
    assert sum(v for v in row.phases.values() if v is not None) == row.response_s == 200.0


def test_phases_of_an_arrival_synced_late_stay_inside_the_response() -> None:
    """En route and at scene arrive together after an hour without signal: travel is 0 by our clock, the sum is exact."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(50, "a", "i1")
    journal.add(3600, ev.UnitEnRoute(assignment_id="a", device_at=at(90)))
    journal.arrive(3600, "a", "i1", device=290)
    timeline = fold(journal)
    row = outcome(timeline.cases["i1"], timeline, None)
    assert (row.phases["travel"], row.response_s, row.device_s, row.verdict) == (0.0, 3600.0, 290.0, "late")


# --- what counts


@pytest.mark.parametrize(("arrived", "expected"), [(420.0, ON_TIME), (420.001, LATE)])
def test_the_420th_second_is_within_and_the_next_millisecond_is_not(arrived: float, expected: Verdict) -> None:
    assert verdict(simple(arrived))[0] is expected


def test_an_incident_with_no_unit_is_pending_until_its_time_is_up_and_late_after() -> None:
    """Nobody was ever sent: left out while it may still be made, then missing counts late."""
    journal = Journal()
    journal.call(0, "i1")
    assert verdict(journal, now=419) == (LEFT_OUT, Why.PENDING)
    assert verdict(journal, now=420) == (LEFT_OUT, Why.PENDING)
    assert verdict(journal, now=420.5) == (LATE, Why.NO_ARRIVAL)


def test_an_arrival_in_the_same_instant_as_the_ring_is_on_time() -> None:
    """It happened in front of the crew: 0 s."""
    journal = Journal()
    journal.ring(0, "r")
    journal.open(0, "i1", "r", 0)
    journal.assign(0, "a", "i1")
    journal.arrive(0, "a", "i1")
    timeline = fold(journal)
    assert outcome(timeline.cases["i1"], timeline, None).response_s == 0.0
    assert verdict(journal)[0] is ON_TIME


def test_a_unit_that_cannot_do_the_job_does_not_stop_the_clock() -> None:
    """A single responder sent only to stop the clock: not a first response, or not what the plan wants."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(50, "a", "i1", capability="patrol")
    journal.arrive(100, "a", "i1")
    journal.assign(60, "b", "i1", unit="A-02", first=False)
    journal.arrive(120, "b", "i1", unit="A-02")
    assert verdict(journal) == (LATE, Why.NO_ARRIVAL)


def test_either_alternative_of_a_place_is_capable() -> None:
    """A plan that wants `motorbike|ambulance` is served by a motorbike."""
    journal = Journal()
    journal.call(0, "i1", required=("motorbike|ambulance", "ambulance"))
    journal.assign(50, "a", "i1", capability="motorbike|ambulance")
    journal.arrive(200, "a", "i1")
    assert verdict(journal)[0] is ON_TIME


def test_a_geofence_arrival_stands_beside_the_button_and_stops_nothing() -> None:
    """The geofence at 250 s is evidence; without a button there is no arrival."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(50, "a", "i1")
    journal.add(250, ev.ArrivalProposed(assignment_id="a"))
    assert verdict(journal) == (LATE, Why.NO_ARRIVAL)
    timeline = fold(journal)
    assert outcome(timeline.cases["i1"], timeline, None).geofence_s == 250.0


@pytest.mark.parametrize(
    ("cancelled", "reason", "expected"),
    [
        (200, "salah sambung", (LEFT_OUT, Why.CANCELLED_IN_TIME)),
        (420, "salah sambung", (LEFT_OUT, Why.CANCELLED_IN_TIME)),
        (421, "salah sambung", (LATE, Why.NO_ARRIVAL)),
        (200, "   ", (LATE, Why.NO_ARRIVAL)),
    ],
)
def test_only_a_cancellation_in_time_with_a_reason_leaves_the_count(
    cancelled: float, reason: str, expected: tuple[Verdict, Why]
) -> None:
    journal = Journal()
    journal.call(0, "i1")
    journal.cancel(cancelled, "i1", reason)
    assert verdict(journal) == expected


def test_a_cancelled_incident_that_is_reopened_counts_from_its_first_ring() -> None:
    journal = Journal()
    journal.call(0, "i1")
    journal.cancel(100, "i1")
    journal.add(700, ev.IncidentReopened(incident_id="i1", reason="ternyata benar"))
    journal.respond(710, 900, "i1")
    assert verdict(journal) == (LATE, Why.OVER_TARGET)


def test_the_highest_priority_ever_held_decides() -> None:
    """Downgraded before arrival: still priority 1, still late."""
    journal = Journal()
    journal.call(0, "i1")
    journal.regrade(100, "i1", 3, 1)
    journal.respond(200, 900, "i1")
    assert verdict(journal) == (LATE, Why.OVER_TARGET)


def test_a_grade_raised_after_an_easy_arrival_does_not_pad_the_figure() -> None:
    """Priority 2, there in 300 s, then called priority 1: left out. Had it been late it would count."""
    on_time = Journal()
    on_time.call(0, "i1", priority=2)
    on_time.respond(60, 300, "i1")
    on_time.regrade(400, "i1", 1, 2)
    assert verdict(on_time) == (LEFT_OUT, Why.SETTLED_OUT)
    late = Journal()
    late.call(0, "i1", priority=2)
    late.respond(60, 800, "i1")
    late.regrade(900, "i1", 1, 2)
    assert verdict(late) == (LATE, Why.OVER_TARGET)


# --- duplicates


def test_a_duplicate_counts_once_from_the_earliest_ring() -> None:
    """Second caller's incident is merged into the first's; the first ring was at 0."""
    journal = Journal()
    journal.call(0, "i1")
    journal.call(100, "i2")
    journal.assign(150, "a", "i2")
    journal.merge(160, "i1", "i2")
    journal.arrive(460, "a", "i2")
    timeline = fold(journal)
    assert timeline.verdict(timeline.cases["i2"], at(10_000)) == (LATE, Why.OVER_TARGET)
    assert timeline.verdict(timeline.cases["i1"], at(10_000))[1] is Why.DUPLICATE
    assert outcome(timeline.cases["i2"], timeline, None).response_s == 460.0


@pytest.mark.parametrize("capability", ["ambulance", "patrol"])
@pytest.mark.parametrize("survivor", ["p1", "p3"])
def test_merging_with_one_where_somebody_stands_already_stops_no_running_clock(capability: str, survivor: str) -> None:
    """A unit stood at a priority-3 case at 200 s; joining a running emergency to it at 300 s is not an arrival."""
    journal = Journal()
    journal.call(0, "p1")
    journal.call(10, "p3", priority=3, required=(capability,))
    journal.assign(60, "a", "p3", capability=capability)
    journal.arrive(200, "a", "p3")
    gone = "p3" if survivor == "p1" else "p1"
    journal.merge(300, gone, survivor, ("a",) if gone == "p3" else ())
    timeline = fold(journal)
    assert timeline.verdict(timeline.cases[survivor], at(310)) == (Verdict.LEFT_OUT, Why.PENDING)
    assert timeline.verdict(timeline.cases[survivor], at(10_000)) == (LATE, Why.NO_ARRIVAL)
    assert timeline.tally(at(10_000)).n == 1


@pytest.mark.parametrize("survivor", ["p1", "p3"])
def test_help_that_comes_after_a_merge_stops_the_clock(survivor: str) -> None:
    """The emergency joined to one that was left out runs on, and its own ambulance arrives in time."""
    journal = Journal()
    journal.call(0, "p1")
    journal.call(10, "p3", priority=3, required=("patrol",))
    journal.assign(50, "b", "p1")
    journal.assign(60, "a", "p3", capability="patrol")
    journal.arrive(200, "a", "p3")
    gone = "p3" if survivor == "p1" else "p1"
    if gone == "p1":
        journal.regrade(300, "p3", 1, 3)
    journal.merge(300, gone, survivor, ("a",) if gone == "p3" else ("b",), first=["b"])
    journal.arrive(400, "b", survivor)
    timeline = fold(journal)
    assert timeline.verdict(timeline.cases[survivor], at(10_000)) == (Verdict.ON_TIME, Why.IN_TIME)
    assert outcome(timeline.cases[survivor], timeline, None).response_s == 400.0


def test_an_emergency_answered_in_time_stays_so_when_it_is_merged_into_its_duplicate() -> None:
    """Help stood there at 300 s; which of the two records survives must not matter."""
    journal = Journal()
    journal.call(0, "i1")
    journal.call(100, "i2")
    journal.respond(60, 300, "i1")
    journal.merge(350, "i1", "i2")
    timeline = fold(journal)
    assert timeline.verdict(timeline.cases["i2"], at(10_000)) == (Verdict.ON_TIME, Why.IN_TIME)
    assert (timeline.tally(at(10_000)).within, timeline.tally(at(10_000)).n) == (1, 1)


def test_one_graded_up_after_help_came_does_not_become_in_time_by_a_merge() -> None:
    """Left out for good, also under the number of a duplicate that was still waiting."""
    journal = Journal()
    journal.call(0, "i1", priority=3)
    journal.call(100, "i2", priority=3)
    journal.respond(60, 300, "i1")
    journal.regrade(310, "i1", 1, 3)
    journal.merge(350, "i1", "i2")
    assert fold(journal).tally(at(10_000)).within == 0


def test_a_unit_moved_by_a_merge_stops_the_clock_only_when_the_plan_that_stands_says_so() -> None:
    """Two of a duplicate's units come along; the event says which of them can do what the emergency needs."""
    for first, expected in ((["a"], Verdict.ON_TIME), ([], LATE)):
        journal = Journal()
        journal.call(0, "p1", required=("ambulance", "patrol"))
        journal.call(10, "p3", priority=3, required=("patrol",))
        journal.assign(60, "a", "p3", capability="patrol")
        journal.merge(100, "p3", "p1", ("a",), first=first)
        journal.arrive(200, "a", "p1")
        timeline = fold(journal)
        assert timeline.verdict(timeline.cases["p1"], at(10_000))[0] is expected


def test_an_extra_unit_that_can_do_what_is_needed_stops_the_clock() -> None:
    """Sent by hand beside a full plan: it fills no place by name, but the engine says its arrival counts."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(50, "a", "i1", unit="A-01")
    journal.assign(90, "x", "i1", unit="A-02", capability="extra")
    journal.arrive(300, "x", "i1", unit="A-02")
    assert verdict(journal) == (Verdict.ON_TIME, Why.IN_TIME)


@pytest.mark.parametrize("first", [None, []])
def test_a_unit_that_cannot_help_stops_no_clock_of_a_lesser_case_graded_up(first: list[str] | None) -> None:
    """A patrol stood at a priority-3 case at 100 s; at 200 s it turns out to be a cardiac arrest."""
    journal = Journal()
    journal.call(0, "i1", priority=3, required=("patrol",))
    journal.assign(45, "a", "i1", capability="patrol")
    journal.arrive(100, "a", "i1")
    journal.regrade(200, "i1", 1, 3, first=first)
    assert verdict(journal, now=300) == (Verdict.LEFT_OUT, Why.PENDING)
    assert verdict(journal) == (LATE, Why.NO_ARRIVAL)
    journal.assign(205, "b", "i1", unit="A-02")
    journal.arrive(500, "b", "i1", unit="A-02")
    assert verdict(journal) == (LATE, Why.OVER_TARGET)
    assert outcome(fold(journal).cases["i1"], fold(journal), None).response_s == 500.0


def test_one_graded_up_that_is_then_reached_in_time_stays_left_out() -> None:
    """It had been left out as reached; grading it up may count against the city, never for it."""
    journal = Journal()
    journal.call(0, "i1", priority=3, required=("patrol",))
    journal.assign(45, "a", "i1", capability="patrol")
    journal.arrive(100, "a", "i1")
    journal.regrade(200, "i1", 1, 3, first=["b"])
    journal.assign(205, "b", "i1", unit="A-02")
    journal.arrive(400, "b", "i1", unit="A-02")
    assert verdict(journal) == (Verdict.LEFT_OUT, Why.SETTLED_OUT)


def test_a_coming_unit_stops_the_clock_only_when_the_plan_after_the_regrade_says_so() -> None:
    for first, expected in ((["a"], Verdict.ON_TIME), ([], LATE)):
        journal = Journal()
        journal.call(0, "i1", priority=2, required=("ambulance", "patrol"))
        journal.assign(45, "a", "i1", capability="patrol")
        journal.regrade(100, "i1", 1, 2, required=("ambulance", "patrol"), first=first)
        journal.arrive(200, "a", "i1")
        assert verdict(journal)[0] is expected


def test_a_report_attached_later_that_rang_earlier_moves_the_clock_back() -> None:
    journal = Journal()
    journal.ring(0, "r0")
    journal.call(100, "i1")
    journal.respond(150, 450, "i1")
    journal.answer(460, "r0")
    journal.add(470, ev.ReportAttached(report_id="r0", incident_id="i1"))
    assert verdict(journal) == (LATE, Why.OVER_TARGET)


def test_a_late_one_cannot_be_hidden_under_a_duplicate_that_was_in_time() -> None:
    """i1 breached at 420; merging it away at 500 leaves it counted."""
    journal = Journal()
    journal.call(0, "i1")
    journal.call(300, "i2")
    journal.respond(350, 460, "i2")
    journal.merge(500, "i1", "i2")
    timeline = fold(journal)
    tally = timeline.tally(at(10_000))
    assert tally.late.get("settled_late") == ["i1"]
    assert tally.n == 2


def test_an_incident_split_from_another_counts_only_when_late() -> None:
    """Detached report opens its own incident; its quick arrival adds nothing."""
    journal = Journal()
    journal.call(0, "i1")
    journal.respond(60, 300, "i1")
    journal.ring(100, "r9")
    journal.add(110, ev.ReportAttached(report_id="r9", incident_id="i1"))
    journal.add(320, ev.ReportDetached(report_id="r9", incident_id="i1"))
    journal.open(320, "i9", "r9", 100)
    journal.assign(321, "a9", "i9", unit="A-09")
    journal.arrive(330, "a9", "i9", unit="A-09")
    assert verdict(journal, "i9") == (LEFT_OUT, Why.SPLIT_OFF)


def test_units_on_their_way_to_a_duplicate_arrive_for_the_emergency() -> None:
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(60, "a", "i1")
    journal.call(80, "i2")
    journal.merge(130, "i1", "i2", moved=("a",))
    journal.arrive(300, "a", "i2")
    assert verdict(journal, "i2")[0] is ON_TIME


# --- bad input


def test_a_repeated_line_changes_nothing_and_is_counted() -> None:
    journal = simple()
    once = fold(journal).tally(at(9_000))
    timeline = Timeline().apply_all([e for entry in journal.told for e in (entry, entry)])
    assert timeline.tally(at(9_000)) == once
    assert timeline.odd["line_again"] == len(journal.told)


def test_a_missing_line_costs_one_and_is_counted() -> None:
    journal = simple()
    del journal.told[2]
    tally = fold(journal).tally(at(9_000))
    assert (tally.within, tally.n, tally.missing_lines) == (0, 2, 1)


def test_a_torn_off_end_is_missing_when_the_head_is_known() -> None:
    journal = simple()
    head = journal.told[-1].seq
    del journal.told[-2:]
    assert fold(journal).tally(at(9_000), last_seq_expected=head).missing_lines == 2


def test_a_server_clock_set_back_shortens_nothing() -> None:
    """The arrival is stamped before the line above it: read as that line's time."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(60, "a", "i1")
    journal.add(600, ev.IncidentNoted(incident_id="i1", text="menunggu"))
    journal.arrive(300, "a", "i1")
    assert verdict(journal) == (LATE, Why.OVER_TARGET)
    assert fold(journal).odd["clock_ran_back"] == 1


def test_a_server_clock_that_jumps_ahead_makes_nothing_sooner() -> None:
    """An arrival stamped an hour late counts late until a person corrects it; what rings before the clock is right again as well."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(60, "a", "i1")
    journal.arrive(300 + 3_600, "a", "i1")
    assert verdict(journal) == (LATE, Why.OVER_TARGET)
    journal.call(400, "i2")
    journal.assign(460, "b", "i2")
    journal.arrive(600, "b", "i2")
    found = fold(journal)
    assert (found.tally(at(9_000)).within, found.tally(at(9_000)).n) == (0, 2)
    assert found.odd["clock_ran_back"] >= 1


def test_a_ring_from_the_future_starts_when_the_server_heard_of_it() -> None:
    journal = Journal()
    journal.open(0, "i1", "r", ring=5_000)
    journal.assign(10, "a", "i1")
    journal.arrive(421, "a", "i1")
    assert verdict(journal) == (LATE, Why.OVER_TARGET)
    assert fold(journal).odd["ring_in_future"] == 1


def test_the_same_instant_in_another_zone_is_the_same_instant() -> None:
    """A ring told in WIB (UTC+7) and entries in UTC give one response time."""
    wib = timezone(timedelta(hours=7))
    journal = simple()
    moved = [
        ev.Entry(region=e.region, seq=e.seq, at=e.at.astimezone(wib), actor=WHO, event=e.event) for e in journal.told
    ]
    assert Timeline().apply_all(moved).tally(at(9_000)) == fold(journal).tally(at(9_000))


def test_a_line_without_a_zone_is_refused_and_a_claim_without_one_is_not_believed() -> None:
    entry = simple().told[0]
    naive = datetime(2026, 3, 2, 8, 0)  # noqa: DTZ001 - the mistake under test
    with pytest.raises(Rejected, match="time_without_zone"):
        Timeline().apply(ev.Entry(region="surabaya", seq=1, at=naive, actor=WHO, event=entry.event))
    timeline = Timeline().apply_all(
        [
            ev.Entry(
                region="surabaya",
                seq=1,
                at=at(0),
                actor=WHO,
                event=ev.CallPresented(report_id="r", call_id="c", rang_at=naive),
            )
        ]
    )
    assert timeline.odd["time_without_zone"] == 1


def test_a_line_of_another_region_is_refused() -> None:
    journal, other = simple(), simple()
    timeline = fold(journal)
    stray = ev.Entry(region="gianyar", seq=99, at=at(500), actor=WHO, event=other.told[0].event)
    with pytest.raises(Rejected, match="other_region"):
        timeline.apply(stray)


def test_lines_about_unknown_things_are_counted_and_harmless() -> None:
    journal = Journal()
    journal.arrive(10, "ghost", "ghost")
    journal.cancel(11, "ghost")
    journal.answer(12, "ghost")
    journal.merge(13, "ghost", "ghost2")
    timeline = fold(journal)
    assert timeline.cases == {}
    assert timeline.odd["unknown_assignment"] == 1
    assert timeline.odd["unknown_incident"] == 3
    assert timeline.odd["unknown_report"] == 1


def test_steps_told_in_the_wrong_order_are_counted_and_the_phases_still_sum() -> None:
    """The phone hands in "rolling" after "arrived", with stamps that run backwards."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(45, "a", "i1")
    journal.arrive(300, "a", "i1", device=290)
    journal.add(310, ev.UnitEnRoute(assignment_id="a", device_at=at(80)))
    timeline = fold(journal)
    assert {k: v for k, v in timeline.odd.items() if v} == {
        "arrival_without_departure": 1,
        "step_after_arrival": 1,
        "device_reversed": 1,
    }
    row = outcome(timeline.cases["i1"], timeline, None)
    assert sum(s for s in row.phases.values() if s is not None) == row.response_s == 300.0


def test_a_device_clock_far_ahead_is_flagged() -> None:
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(60, "a", "i1")
    journal.arrive(300, "a", "i1", device=900)
    assert fold(journal).odd["device_ahead"] == 1


# --- corrections


def test_a_correction_may_only_lengthen_and_keeps_author_reason_and_old_value() -> None:
    """Arrival said to be earlier: recorded, without effect. Said to be later: the figure follows."""
    journal = simple(300)
    timeline = fold(journal)
    flattering = Correction("i1", "at_scene", at(200), "supervisor:rina", "jam gawai salah", "a-i1")
    noted = timeline.correct(flattering, at(5_000))
    assert (noted.counts, noted.before) == (False, at(300))
    assert timeline.verdict(timeline.cases["i1"], None)[0] is ON_TIME
    honest = Correction("i1", "at_scene", at(500), "supervisor:rina", "rekaman CCTV", "a-i1")
    assert timeline.correct(honest, at(5_100)).counts
    assert timeline.verdict(timeline.cases["i1"], None) == (LATE, Why.OVER_TARGET)
    assert len(timeline.cases["i1"].corrections) == 2


def test_a_correction_in_the_journal_keeps_who_gave_it_and_an_impossible_one_is_counted() -> None:
    journal = simple(300)
    told = ev.ClockCorrected(
        incident_id="i1", step="at_scene", reason="rekaman CCTV", corrected_at=at(500), assignment_id="a-i1"
    )
    journal.add(5_000, told)
    journal.add(5_001, ev.ClockCorrected(incident_id="nobody", step="first_ring", reason="jam", corrected_at=at(1)))
    timeline = fold(journal)
    (noted,) = timeline.cases["i1"].corrections
    assert (noted.correction.author, noted.before, noted.counts) == (str(WHO), at(300), True)
    assert timeline.verdict(timeline.cases["i1"], None) == (LATE, Why.OVER_TARGET)
    assert timeline.odd["correction_impossible"] == 1


def test_a_correction_of_the_ring_moves_only_earlier() -> None:
    timeline = fold(simple(300))
    assert not timeline.correct(Correction("i1", "first_ring", at(50), "s:a", "jam sentral"), at(900)).counts
    assert timeline.correct(Correction("i1", "first_ring", at(-200), "s:a", "jam sentral"), at(901)).counts
    assert timeline.verdict(timeline.cases["i1"], None) == (LATE, Why.OVER_TARGET)


@pytest.mark.parametrize(
    "bad",
    [
        Correction("i1", "at_scene", at(1), "", "alasan", "a-i1"),
        Correction("i1", "at_scene", at(1), "s:a", " ", "a-i1"),
        Correction("nobody", "at_scene", at(1), "s:a", "alasan", "a-i1"),
        Correction("i1", "at_scene", at(1), "s:a", "alasan", "nobody"),
        Correction("i1", "lunch", at(1), "s:a", "alasan"),
    ],
)
def test_a_correction_without_author_reason_or_subject_is_refused(bad: Correction) -> None:
    timeline = fold(simple())
    with pytest.raises(Rejected):
        timeline.correct(bad, at(900))


# --- the live summary


def test_the_summary_counts_what_the_tally_counts() -> None:
    """One on time, one late, one cancelled, one of low priority, one open and at risk."""
    journal = Journal()
    journal.call(0, "i1")
    journal.respond(60, 300, "i1")
    journal.call(400, "i2")
    journal.respond(460, 1_000, "i2")
    journal.call(1_100, "i3")
    journal.cancel(1_200, "i3")
    journal.call(1_300, "i4", priority=3)
    journal.call(1_400, "i5")
    live = SlaFold(transport_units=frozenset({"A-01"}))
    for entry in journal.told:
        live.apply(entry)
    summary = live.summary(at(1_560))
    assert (summary.headline.within, summary.headline.n) == (1, 2)
    assert summary.excluded == {"cancelled_in_time": 1, "not_priority_1": 1, "pending": 1}
    assert summary.late == {"over_target": 1}
    assert (summary.response.p50, summary.transport.p50) == (300.0, 300.0)
    assert [o.incident_id for o in summary.open if o.at_risk] == ["i5"]
    later = live.summary(at(5_000))
    assert (later.headline.within, later.headline.n) == (1, 3)


def test_the_window_is_by_the_ring_an_emergency_was_opened_with() -> None:
    journal = Journal()
    journal.call(0, "i1")
    journal.respond(60, 300, "i1")
    journal.call(90_000, "i2")
    journal.respond(90_060, 90_900, "i2")
    live = SlaFold()
    for entry in journal.told:
        live.apply(entry)
    assert live.summary(at(100_000), until=at(86_400)).headline.share == 1.0
    assert live.summary(at(100_000), since=at(86_400)).headline.share == 0.0


def test_a_coming_unit_gives_an_open_incident_its_chance_and_predicted_time() -> None:
    """Assigned at 60 with 240 s to go: expected at 300, likely in time; at 400 hardly any chance is left."""
    journal = Journal()
    journal.call(0, "i1")
    journal.assign(60, "a", "i1", eta_s=240, sd_s=40)
    live = SlaFold()
    for entry in journal.told:
        live.apply(entry)
    (early,) = live.open_incidents(at(70))
    assert early.predicted_s == pytest.approx(297, abs=2)  # the median lies a little under the mean of 300
    assert early.chance is not None
    assert early.chance > 0.95
    assert not early.at_risk
    (gone,) = live.open_incidents(at(421))
    assert gone.chance == 0.0
    assert gone.at_risk
