"""The engine: what commands lead to, what is refused, and that it is deterministic."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.fold import State
from dispatch.model import (
    OPEN_STATES,
    Actor,
    AssignmentState,
    IncidentState,
    Place,
    Position,
    Rejected,
    ReportState,
    UnitState,
)
from dispatch.policies.assign import AssignSettings, BestTogether
from dispatch.policies.view import Choice, Move, View
from geo.router import StraightLineRouter
from tests.dispatch.town import (
    DISPATCHER,
    LAT,
    LON,
    SUPERVISOR,
    T0,
    TAKER,
    after,
    assigned_units,
    crew,
    kinds_of,
    make_engine,
    report,
    town,
)


def job_of(engine: Engine, unit_id: str) -> str:
    assignment_id = engine.state.units[unit_id].assignment_id
    assert assignment_id is not None
    return assignment_id


def drive_through(engine: Engine, unit_id: str, start_s: float) -> None:
    """Acknowledge, roll, arrive, transport, hand over, clear."""
    job, who = job_of(engine, unit_id), crew(unit_id)
    engine.step(co.AcknowledgeJob(assignment_id=job), after(start_s), who)
    engine.step(co.ReportEnRoute(assignment_id=job), after(start_s + 30), who)
    engine.step(co.ReportAtScene(assignment_id=job), after(start_s + 200), who)
    engine.step(co.ReportTransporting(assignment_id=job), after(start_s + 600), who)
    engine.step(co.ReportAtHospital(assignment_id=job), after(start_s + 1000), who)
    engine.step(co.ReportClear(assignment_id=job), after(start_s + 1500), who)


def test_a_report_sends_the_nearest_capable_unit_in_the_same_step() -> None:
    """Location and kind are enough: report, incident, recommendation and assignment come out of one command."""
    engine = make_engine()
    entries = engine.step(report("medis", 0.017), after(10), TAKER)
    assert kinds_of(entries)[:3] == ["report_submitted", "incident_opened", "report_attached"]
    assert assigned_units(entries) == ["A2"]
    recommended = next(e.event for e in entries if isinstance(e.event, ev.UnitRecommended))
    assert recommended.candidates.unit_ids[0] == "A2"
    assert sorted(recommended.candidates.unit_ids) == ["A1", "A2", "A3", "A4"], "every capable unit is listed"
    assert recommended.candidates.verdict[0] == "chosen"
    assert all(0.0 <= c <= 1.0 for c in recommended.candidates.chance)


def test_a_plan_with_two_places_sends_both_and_marks_which_stops_the_clock() -> None:
    """A crash gets the motorbike first and an ambulance to carry."""
    engine = make_engine()
    entries = engine.step(report("laka"), after(10), TAKER)
    sent = [e.event for e in entries if isinstance(e.event, ev.UnitAssigned)]
    assert [(s.unit_id, s.first) for s in sent] == [("M1", True), ("A1", False)]


def test_a_whole_job_from_alert_to_clear_closes_the_incident() -> None:
    """The last unit to leave ends an incident that misses nothing."""
    engine = make_engine()
    engine.step(report("medis"), after(10), TAKER)
    drive_through(engine, "A1", 20)
    incident = engine.state.incidents["260302-0001"]
    assert incident.state is IncidentState.CLOSED
    assert engine.state.units["A1"].state is UnitState.AVAILABLE
    a = engine.state.assignments["260302-0001/1"]
    assert a.hospital_id == "rs1", "nearest by road when the crew names none"
    assert a.state is AssignmentState.CLEARED


def test_silence_is_alerted_again_and_then_the_next_unit_goes() -> None:
    """The acknowledgement ladder: 30 s, again 30 s, then a voice task and another unit."""
    engine = make_engine()
    engine.step(report("medis"), after(10), TAKER)
    again = engine.step(co.Wake(), after(40))
    assert "unit_realerted" in kinds_of(again)
    passed_on = engine.step(co.Wake(), after(70))
    assert kinds_of(passed_on)[:3] == ["voice_task_raised", "job_unanswered", "unit_out_of_service"]
    assert assigned_units(passed_on) == ["A2"]


def test_a_declined_job_goes_to_another_unit_and_not_back() -> None:
    """The unit that said no is not asked again for the same incident."""
    engine = make_engine()
    engine.step(report("medis"), after(10), TAKER)
    entries = engine.step(co.DeclineJob(assignment_id=job_of(engine, "A1"), reason="ban bocor"), after(15), crew("A1"))
    assert assigned_units(entries) == ["A2"]


def test_when_everybody_is_busy_the_shortfall_is_said_and_tried_again() -> None:
    """PlanShort explains; the next freed unit is sent at once."""
    engine = make_engine()
    for n in range(5):
        engine.step(report("medis", dlat=0.02 * n), after(10 + n), TAKER)
    for unit_id in ("A2", "A3", "A4"):
        engine.step(co.AcknowledgeJob(assignment_id=job_of(engine, unit_id)), after(19), crew(unit_id))
    short = engine.state.incidents["260302-0005"]
    assert short.unfilled == ["ambulance"]
    assert short.retry_at is not None
    drive_through(engine, "A1", 20)
    assert engine.state.units["A1"].assignment_id is not None
    assert engine.state.assignments[job_of(engine, "A1")].incident_id == "260302-0005"


def test_a_shortfall_is_said_once_and_tried_again_quietly() -> None:
    """The journal of a night without ambulances holds one line an incident, not one every 15 s."""
    engine = make_engine()
    for n in range(5):
        engine.step(report("medis", dlat=0.02 * n), after(10 + n), TAKER)
    for unit_id in ("A1", "A2", "A3", "A4"):
        engine.step(co.AcknowledgeJob(assignment_id=job_of(engine, unit_id)), after(19), crew(unit_id))
    said = 0
    while (due := engine.next_deadline()) is not None and due <= after(300):
        said += kinds_of(engine.step(co.Wake(), due)).count("plan_short")
    assert said == 0, "it was said when the incident opened"
    engine.fix("A1", Position(lon=LON, lat=LAT, fixed_at=after(200), received_at=after(200)))
    assert engine.next_deadline() is not None


def test_the_breach_is_recorded_at_exactly_seven_minutes_from_the_first_ring() -> None:
    """The clock starts at the ring, not at the form."""
    engine = make_engine()
    engine.step(co.PresentCall(call_id="c1"), T0, TAKER)
    engine.step(co.AnswerReport(report_id="L260302-0001"), after(8), TAKER)
    engine.step(report("medis", 0.017, report_id="L260302-0001"), after(60), TAKER)
    late: list[ev.Entry] = []
    now = 60.0
    while not late and now < 600:
        due = engine.next_deadline()
        assert due is not None
        now = (due - T0).total_seconds()
        late = [e for e in engine.step(co.Wake(), due) if isinstance(e.event, ev.ResponseLate)]
    assert now == 420.0


def test_risk_is_raised_before_the_breach_with_a_remedy() -> None:
    """A unit that cannot make it is announced while there is time."""
    engine = make_engine()
    engine.step(co.EndDuty(unit_id="A1"), T0, DISPATCHER)
    engine.step(co.EndDuty(unit_id="A2"), T0, DISPATCHER)
    entries = engine.step(report("medis", -0.05), after(5), TAKER)
    risks = [e.event for e in entries if isinstance(e.event, ev.ResponseAtRisk)]
    assert len(risks) == 1
    assert risks[0].chance < 0.5


def test_a_confirm_plan_recommends_but_sends_only_after_the_yes() -> None:
    """Domestic violence waits for a person; the choice is one key away."""
    engine = make_engine()
    entries = engine.step(report("kdrt"), after(1), TAKER)
    assert assigned_units(entries) == []
    assert any(isinstance(e.event, ev.UnitRecommended) for e in entries)
    entries = engine.step(co.ConfirmPlan(incident_id="260302-0001"), after(9), DISPATCHER)
    assert assigned_units(entries) == ["A1"]


def test_a_pre_alert_plan_sends_the_first_unit_and_the_rest_after_a_minute() -> None:
    """The first engine rolls while questions go on; the clock confirms when nobody does."""
    engine = make_engine()
    entries = engine.step(report("kebakaran"), after(1), TAKER)
    assert assigned_units(entries) == ["P1"]
    entries = []
    while (due := engine.next_deadline()) is not None and due <= after(61):
        entries += engine.step(co.Wake(), due)
    assert "P2" in assigned_units(entries)
    assert "A1" in assigned_units(entries)


def test_a_likely_duplicate_is_held_then_served_as_its_own() -> None:
    """Two citizens see one crash: the second report waits 45 s for a person before a second crew goes."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    entries = engine.step(report("medis", 0.0001), after(60), TAKER)
    assert assigned_units(entries) == []
    assert any(isinstance(e.event, ev.DuplicateSuspected) for e in entries)
    entries = []
    while (due := engine.next_deadline()) is not None and due <= after(105):
        entries += engine.step(co.Wake(), due)
    assert "plan_confirmed" in kinds_of(entries)
    assert "A2" in assigned_units(entries)


def test_merge_keeps_the_earliest_ring_and_unmerge_restores_both() -> None:
    """A merged incident's clock is that of the first caller; a mistake can be undone."""
    engine = make_engine()
    engine.step(report("medis", 0.03), after(10), TAKER)
    engine.step(report("medis", 0.02), after(50), TAKER)
    first, second = engine.state.incidents["260302-0001"], engine.state.incidents["260302-0002"]
    engine.step(co.MergeIncident(incident_id="260302-0001", into="260302-0002"), after(60), DISPATCHER)
    assert first.state is IncidentState.MERGED
    assert second.first_ring_at == after(10)
    assert second.report_ids == ["L260302-0002", "L260302-0001"]
    engine.step(co.UnmergeIncident(incident_id="260302-0001"), after(70), DISPATCHER)
    assert first.state is IncidentState.DISPATCHED
    assert second.first_ring_at == after(50)
    assert first.report_ids == ["L260302-0001"]
    assert second.report_ids == ["L260302-0002"]


def test_nothing_is_parted_that_would_leave_an_incident_nobody_reported() -> None:
    """Its own report was taken out of the incident it had been merged into; what is left cannot be divided in two."""
    engine = make_engine()
    for n, dlon in enumerate((0.03, 0.02, 0.01)):
        engine.step(report("medis", dlon), after(10 + n), TAKER)
    one, two, three = list(engine.state.incidents)
    engine.step(co.MergeIncident(incident_id=one, into=two), after(20), DISPATCHER)
    engine.step(co.MergeIncident(incident_id=two, into=three), after(30), DISPATCHER)
    engine.step(co.DetachReport(report_id="L260302-0002"), after(40), DISPATCHER)
    engine.step(co.UnmergeIncident(incident_id=two), after(50), DISPATCHER)
    assert engine.state.incidents[two].report_ids == ["L260302-0001"]
    with pytest.raises(Rejected) as refused:
        engine.decide(co.UnmergeIncident(incident_id=one), after(60), DISPATCHER)
    assert refused.value.code == "nothing_to_part"


def test_a_dispatcher_takes_back_their_own_closing_for_two_minutes() -> None:
    """A slip is undone at once; afterwards, or somebody else's closing, only the supervisor reopens."""
    engine = make_engine()
    engine.step(report("medis", 0.03), after(10), TAKER)
    incident = engine.state.incidents["260302-0001"]
    reopen = co.ReopenIncident(incident_id=incident.incident_id, reason="salah tekan")
    ended_s = 0.0
    for n, end in enumerate((co.CancelIncident, co.CloseIncident)):
        ended_s = 100.0 + 200 * n
        why = {"reason": "tertukar"} if end is co.CancelIncident else {"outcome": "selesai"}
        engine.step(end(incident_id=incident.incident_id, **why), after(ended_s), DISPATCHER)
        assert incident.ended_by == "dispatcher:bima"
        with pytest.raises(Rejected) as somebody_else:
            engine.decide(reopen, after(ended_s + 5), Actor(role="dispatcher", name="wulan"))
        assert somebody_else.value.code == "undo_window_over"
        engine.step(reopen, after(ended_s + 120), DISPATCHER)
        assert incident.state is not IncidentState.CANCELLED
        assert (incident.ended_at, incident.ended_by) == (None, None)
    engine.step(co.CloseIncident(incident_id=incident.incident_id, outcome="selesai"), after(500), DISPATCHER)
    with pytest.raises(Rejected) as too_late:
        engine.decide(reopen, after(621), DISPATCHER)
    assert (too_late.value.code, too_late.value.field) == ("undo_window_over", "incident_id")
    engine.step(reopen, after(4000), SUPERVISOR)
    assert incident.state in OPEN_STATES


def test_a_unit_at_the_scene_of_a_lesser_case_does_not_stop_the_clock_of_an_emergency_it_cannot_help() -> None:
    """A fire engine stands at a fallen tree; the medical emergency merged with it still waits for its ambulance."""
    engine = make_engine()
    engine.step(report("pohon", 0.0), after(0), TAKER)
    tree = next(iter(engine.state.incidents.values()))
    job = tree.assignment_ids[0]
    engine.step(co.ReportAtScene(assignment_id=job), after(60), crew(engine.state.assignments[job].unit_id))
    engine.step(report("medis", 0.004), after(70), TAKER)
    medical = list(engine.state.incidents.values())[-1]
    engine.step(co.MergeIncident(incident_id=tree.incident_id, into=medical.incident_id), after(80), DISPATCHER)
    assert medical.first_at_scene_at == after(60)
    assert medical.first_capable_at_scene_at is None
    engine.step(co.UnmergeIncident(incident_id=tree.incident_id), after(90), DISPATCHER)
    assert tree.first_capable_at_scene_at == after(60)


def test_a_unit_at_the_scene_of_a_lesser_case_does_not_stop_the_clock_when_it_is_graded_up() -> None:
    """A fire engine stands at a fallen tree; somebody lies under it: the clock runs until the ambulance is there."""
    engine = make_engine()
    engine.step(report("pohon", 0.0), after(0), TAKER)
    tree = next(iter(engine.state.incidents.values()))
    job = tree.assignment_ids[0]
    engine.step(co.ReportAtScene(assignment_id=job), after(60), crew(engine.state.assignments[job].unit_id))
    assert tree.first_capable_at_scene_at == after(60)
    upgrade = co.RegradeIncident(incident_id=tree.incident_id, kind="medis", reason="ada korban")
    entries = engine.step(upgrade, after(80), DISPATCHER)
    assert tree.first_at_scene_at == after(60)
    assert tree.first_capable_at_scene_at is None
    sent = [e.event.assignment_id for e in entries if isinstance(e.event, ev.UnitAssigned)]
    engine.step(co.ReportAtScene(assignment_id=sent[0]), after(200), crew(engine.state.assignments[sent[0]].unit_id))
    assert tree.first_capable_at_scene_at == after(200)


def test_a_clock_that_was_stopped_is_not_started_again_by_another_kind() -> None:
    """The ambulance that came did what the plan asked of it then."""
    engine = make_engine()
    engine.step(report("medis", 0.0), after(0), TAKER)
    incident = next(iter(engine.state.incidents.values()))
    job = incident.assignment_ids[0]
    engine.step(co.ReportAtScene(assignment_id=job), after(60), crew(engine.state.assignments[job].unit_id))
    regrade = co.RegradeIncident(incident_id=incident.incident_id, kind="laka", reason="ternyata kecelakaan")
    engine.step(regrade, after(80), DISPATCHER)
    assert incident.priority == 1
    assert incident.first_capable_at_scene_at == after(60)


def test_an_emergency_merged_into_a_lesser_case_brings_its_plan_and_its_clock() -> None:
    """The survivor is then as urgent as the more urgent of the two, and asks for what that one needs."""
    engine = make_engine()
    engine.step(report("pohon", 0.0), after(0), TAKER)
    tree = next(iter(engine.state.incidents.values()))
    job = tree.assignment_ids[0]
    engine.step(co.ReportAtScene(assignment_id=job), after(60), crew(engine.state.assignments[job].unit_id))
    engine.step(report("medis", 0.004), after(70), TAKER)
    medical = list(engine.state.incidents.values())[-1]
    coming = medical.assignment_ids[0]
    engine.step(co.MergeIncident(incident_id=medical.incident_id, into=tree.incident_id), after(80), DISPATCHER)
    assert (tree.kind, tree.priority, tree.plan) == ("medis", 1, "medis")
    assert tree.first_capable_at_scene_at is None
    assert tree.unfilled == []
    engine.step(co.ReportAtScene(assignment_id=coming), after(200), crew(engine.state.assignments[coming].unit_id))
    assert tree.first_capable_at_scene_at == after(200)


class _Together:
    """The live policy's assignment alone."""

    name, cites, period_s = "together", "own", 120.0

    def __init__(self) -> None:
        self._assigner = BestTogether(AssignSettings())

    def assign(self, view: View) -> Sequence[Choice]:
        return self._assigner.assign(view)

    def relocate(self, view: View) -> Sequence[Move]:
        return ()


@pytest.mark.parametrize("reason", ["", "sudah dipandu lewat radio"])
def test_a_unit_chosen_by_hand_is_not_swapped_away(reason: str) -> None:
    """What the policy itself has sent it may improve when a nearer unit appears; what a person chose against it stays."""
    engine = make_engine(_Together(), on_duty=False)
    for unit_id in ("A4", "A2") if reason else ("A4",):
        engine.step(co.StartDuty(unit_id=unit_id, crew=["Awak Contoh"]), after(1), crew(unit_id))
    engine.step(report("kdrt"), after(2), TAKER)
    incident = next(iter(engine.state.incidents.values()))
    send = co.AssignUnit(incident_id=incident.incident_id, unit_id="A4", reason=reason)
    engine.step(send, after(5), DISPATCHER)
    assert engine.state.assignments[incident.assignment_ids[0]].by_hand is bool(reason)
    engine.step(co.StartDuty(unit_id="A1", crew=["Awak Contoh"]), after(10), crew("A1"))
    engine.step(report("medis", 0.018), after(130), TAKER)
    sent = {a.unit_id for a in engine.state.assignments.values() if a.incident_id == incident.incident_id}
    assert sent == ({"A4"} if reason else {"A4", "A1"})


def test_diverting_a_unit_frees_its_old_incident_for_the_next_one() -> None:
    """A person's override takes a rolling unit; the incident it left is served again at once."""
    engine = make_engine()
    engine.step(report("medis", -0.03), after(1), TAKER)
    job = job_of(engine, "A1")
    engine.step(co.ReportEnRoute(assignment_id=job), after(5), crew("A1"))
    engine.step(report("medis", 0.05), after(10), TAKER)
    with pytest.raises(Rejected, match="reason_required"):
        engine.step(co.AssignUnit(incident_id="260302-0002", unit_id="A1"), after(11), DISPATCHER)
    entries = engine.step(
        co.AssignUnit(incident_id="260302-0002", unit_id="A1", reason="lebih dekat menurut radio"),
        after(12),
        DISPATCHER,
    )
    assert kinds_of(entries)[0] == "unit_withdrawn"
    assert assigned_units(entries)[0] == "A1"
    assert engine.state.assignments[job].state is AssignmentState.WITHDRAWN
    assert engine.state.incidents["260302-0001"].unfilled == []


def test_a_breakdown_with_a_patient_on_board_calls_another_ambulance() -> None:
    """The patient is not forgotten when the vehicle stops."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    job = job_of(engine, "A1")
    engine.step(co.ReportAtScene(assignment_id=job), after(60), crew("A1"))
    engine.step(co.ReportTransporting(assignment_id=job), after(200), crew("A1"))
    entries = engine.step(co.TakeOutOfService(unit_id="A1", reason="mesin mati"), after(300), crew("A1"))
    assert assigned_units(entries) == ["A2"]
    assert engine.state.units["A1"].state is UnitState.OUT_OF_SERVICE
    assert engine.state.incidents["260302-0001"].state is IncidentState.ON_SCENE


def test_a_crew_asks_for_backup_and_it_is_sent_at_once() -> None:
    """The plan grows by one place, filled in the same step."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    job = job_of(engine, "A1")
    engine.step(co.ReportAtScene(assignment_id=job), after(60), crew("A1"))
    asked = co.RequestBackup(assignment_id=job, capability="fire", reason="korban terjepit")
    assert assigned_units(engine.step(asked, after(70), crew("A1"))) == ["P1"]
    with pytest.raises(Rejected, match="unknown_capability"):
        engine.step(co.RequestBackup(assignment_id=job, capability="naga", reason="besar"), after(71), crew("A1"))


def test_a_crew_may_note_only_on_its_own_incident() -> None:
    """What another unit's job says is not its business."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    engine.step(co.NoteIncident(incident_id="260302-0001", text="lantai 3"), after(5), crew("A1"))
    with pytest.raises(Rejected, match="not_your_job"):
        engine.step(co.NoteIncident(incident_id="260302-0001", text="lantai 3"), after(6), crew("A3"))


def test_repeating_a_button_changes_nothing_and_hurts_nobody() -> None:
    """A step that already stands is answered with no events."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    job = job_of(engine, "A1")
    assert engine.step(co.AcknowledgeJob(assignment_id=job), after(5), crew("A1"))
    assert engine.step(co.AcknowledgeJob(assignment_id=job), after(6), crew("A1")) == []


def test_an_abandoned_call_is_linked_when_the_same_number_rings_again() -> None:
    """Repeat callers jump the queue: the new call names the one nobody answered."""
    engine = make_engine()
    engine.step(co.PresentCall(call_id="c1", phone="+62000000001"), T0, TAKER)
    engine.step(co.AbandonCall(report_id="L260302-0001"), after(20), TAKER)
    engine.step(co.PresentCall(call_id="c2", phone="+62000000001"), after(60), TAKER)
    assert engine.state.reports["L260302-0002"].repeat_of == "L260302-0001"
    engine.step(co.AnswerReport(report_id="L260302-0001"), after(70), TAKER)
    assert engine.state.reports["L260302-0001"].state is ReportState.ANSWERED


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (report("naga"), "unknown_kind", "kind"),
        (report("medis", 3.0), "outside_region", "place"),
        (report("medis", rang_at=after(99)), "time_in_future", "rang_at"),
        (report("medis", rang_at=after(-90_000)), "time_too_old", "rang_at"),
        (co.AnswerReport(report_id="L1"), "unknown_report", "report_id"),
        (co.CloseIncident(incident_id="x", outcome="selesai"), "unknown_incident", "incident_id"),
        (co.EndDuty(unit_id="Z9"), "unknown_unit", "unit_id"),
        (co.AcknowledgeJob(assignment_id="x/1"), "unknown_assignment", "assignment_id"),
        (co.OrderMove(unit_id="A1", post="mars"), "unknown_post", "post"),
    ],
)
def test_bad_input_is_refused_with_a_stable_code_and_field(command: co.Command, code: str, field: str) -> None:
    """Nothing changes, nothing is half done."""
    engine = make_engine()
    before = engine.state.digest()
    with pytest.raises(Rejected) as refused:
        engine.step(command, after(10), DISPATCHER)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert engine.state.digest() == before


def test_a_crew_cannot_touch_another_units_job() -> None:
    """A device speaks for its own unit only."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    with pytest.raises(Rejected, match="not_your_job"):
        engine.step(co.AcknowledgeJob(assignment_id=job_of(engine, "A1")), after(5), crew("A2"))


def test_a_stale_version_is_refused() -> None:
    """Compare-and-set: two dispatchers cannot overwrite each other."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    seen = engine.state.incidents["260302-0001"].version
    engine.step(co.NoteIncident(incident_id="260302-0001", text="pagar hijau"), after(2), TAKER)
    with pytest.raises(Rejected, match="changed_meanwhile"):
        engine.step(
            co.RegradeIncident(incident_id="260302-0001", priority=2, reason="stabil", version=seen),
            after(3),
            DISPATCHER,
        )


def test_the_opening_report_cannot_be_detached() -> None:
    """Its ring is the incident's clock: detaching it would make a late response look early."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    with pytest.raises(Rejected, match="opening_report"):
        engine.step(co.DetachReport(report_id="L260302-0001"), after(2), DISPATCHER)


def a_busy_hour(engine: Engine) -> list[ev.Entry]:
    """A fixed script that touches most transitions."""
    entries: list[ev.Entry] = []
    for n, (kind, dlon) in enumerate([("laka", 0.0), ("medis", 0.02), ("kebakaran", 0.03), ("pohon", 0.01)]):
        entries += engine.step(report(kind, dlon), after(20 * n + 1), TAKER)
    engine.fix("A3", Position(lon=LON + 0.02, lat=LAT, fixed_at=after(80), received_at=after(80)))
    entries += engine.step(report("medis", 0.021, 0.01), after(90), TAKER)
    while (due := engine.next_deadline()) is not None and due <= after(600):
        entries += engine.step(co.Wake(), due)
    return entries


def test_equal_commands_and_times_give_byte_identical_events() -> None:
    """Determinism is what makes replay, recovery and simulation one thing."""
    one, two = a_busy_hour(make_engine()), a_busy_hour(make_engine())
    assert len(one) > 30
    assert msgspec.json.encode(one) == msgspec.json.encode(two)


def test_state_from_snapshot_and_tail_equals_state_from_all_events() -> None:
    """Start-up = latest snapshot + tail; nothing is lost, no clock changes."""
    engine = make_engine(on_duty=False)
    entries = []
    for unit_id in engine.region.units:
        entries += engine.step(co.StartDuty(unit_id=unit_id), T0, crew(unit_id))
    cut = State(town())
    all_entries = entries + a_busy_hour(engine)
    middle = len(all_entries) // 2
    for entry in all_entries[:middle]:
        cut.apply(entry)
    restored = State.restore(town(), cut.snapshot())
    assert restored is not None
    for entry in all_entries[middle:]:
        restored.apply(entry)
    assert restored.digest() == engine.state.digest()
    again = Engine(town(), StraightLineRouter(), state=restored)
    assert again.next_deadline() is not None


def test_ended_incidents_leave_memory_after_two_days() -> None:
    """A year of city life does not pile up in the engine."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    drive_through(engine, "A1", 10)
    engine.step(report("medis", 0.001), after(3 * 86_400), TAKER)
    assert "260302-0001" not in engine.state.incidents
    assert "260302-0001/1" not in engine.state.assignments
    assert "L260302-0001" not in engine.state.reports


def test_a_unit_off_duty_or_committed_is_never_recommended() -> None:
    """Only free units are candidates."""
    engine = make_engine()
    engine.step(co.EndDuty(unit_id="A1"), T0, crew("A1"))
    entries = engine.step(report("medis"), after(1), TAKER)
    recommended = next(e.event for e in entries if isinstance(e.event, ev.UnitRecommended))
    assert "A1" not in recommended.candidates.unit_ids


def test_a_dispatcher_moves_a_radio_only_unit_on_the_map() -> None:
    """The next decision uses the position the dispatcher heard on the radio."""
    engine = make_engine()
    engine.step(co.PlaceUnit(unit_id="A4", place=Place(lon=LON - 0.05, lat=LAT)), after(1), DISPATCHER)
    assert assigned_units(engine.step(report("medis", -0.05), after(2), TAKER)) == ["A4"]
