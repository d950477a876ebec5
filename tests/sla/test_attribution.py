"""Why was it late: each cause alone, the sentence, and the sums."""

from __future__ import annotations

import pytest

from dispatch import events as ev
from dispatch.region import Hospital, Kind, Plan, Post, Region, Slot, UnitSpec, UnitType, Zone
from geo.router import StraightLineRouter
from sla.attribution import Attribution, Explanation, summarise
from sla.sample import journal
from sla.sentences import NAMES, SENTENCES
from sla.timeline import Timeline
from tests.sla.journals import PLACE, Journal, at

NEAR, FAR = (112.745, -7.262), (112.80, -7.26)  # 0.6 and 6.6 km from the incidents


def small_region() -> Region:
    ambulance = UnitType("amb", "A", "Ambulans", "Ambulance", frozenset({"ambulance"}), "lights", 50.0, 80.0, True)
    return Region(
        code="surabaya",
        name="Surabaya",
        utc_offset_h=7.0,
        bbox=(112.5, -7.5, 113.0, -7.1),
        kinds={"medis": Kind("medis", "Medis", "Medical", 1, "dinkes")},
        unit_types={"amb": ambulance},
        units={u: UnitSpec(u, "amb", "dinkes", p) for u, p in (("A-01", "jauh"), ("A-02", "dekat"))},
        posts={"dekat": Post("dekat", "Pos Dekat", "pos", *NEAR), "jauh": Post("jauh", "Pos Jauh", "pos", *FAR)},
        hospitals={"rs": Hospital("rs", "RS Contoh", *NEAR)},
        plans=(Plan("p", frozenset({"medis"}), (Slot(("ambulance",)),)),),
        zones={"35.78.05": Zone("35.78.05", "Tegalsari", PLACE.lon, PLACE.lat, 100_000, 4.3)},
    )


def explained(told: Journal, *, roads: bool = False, incident: str = "i1") -> Explanation:
    timeline = Timeline().apply_all(told.told)
    attribution = Attribution(small_region(), StraightLineRouter()) if roads else Attribution()
    found = attribution.explain(timeline.cases[incident], timeline, at(90_000))
    assert found is not None
    return found


def run(
    answered: float = 8,
    opened: float = 40,
    assigned: float = 45,
    delivered: float = 47,
    rolling: float = 95,
    there: float = 500,
    eta_s: float | None = None,
) -> Journal:
    """One response; the prediction is what happened unless given."""
    told = Journal()
    told.ring(0, "r")
    told.answer(answered, "r")
    told.submit(opened, "r")
    told.open(opened, "i1", "r", 0)
    predicted = there - rolling + 60.0 if eta_s is None else eta_s
    told.assign(assigned, "a", "i1", eta_s=predicted)
    told.add(delivered, ev.JobReceipted(assignment_id="a", step="delivered"))
    told.add(delivered + 5, ev.JobAcknowledged(assignment_id="a"))
    told.add(rolling, ev.UnitEnRoute(assignment_id="a"))
    told.arrive(there, "a", "i1")
    return told


@pytest.mark.parametrize(
    ("told", "code", "saved_s"),
    [
        (run(answered=130, opened=160, assigned=165, delivered=167, rolling=215, there=500), "answer", 120),
        (run(opened=173, assigned=178, delivered=180, rolling=228, there=500), "entry", 120),
        (run(assigned=170, delivered=172, rolling=220, there=500), "decision", 120),
        (run(delivered=170, rolling=218, there=500), "alert", 120),
        (run(rolling=227, there=500), "turnout", 120),
        (run(there=500, eta_s=300), "road", 165),
    ],
)
def test_the_step_that_took_too_long_is_the_decisive_one(told: Journal, code: str, saved_s: float) -> None:
    """Late by 80 s; this step alone ran 120 s (the road 165 s) over its aim."""
    found = explained(told)
    assert found.decisive == code
    row = found.counterfactuals[0]
    assert (row.code, row.saved_s, row.enough) == (code, saved_s, True)
    assert row.would_be_s == 500 - saved_s
    assert found.late_by_s == 80


def test_the_sentence_says_how_late_why_and_what_it_would_have_been() -> None:
    """In both languages, with the figures."""
    told = run(answered=130, opened=160, assigned=165, delivered=167, rolling=215, there=500)
    found = explained(told)
    assert found.sentence_id == (
        "Terlambat 80 detik (tiba 8:20): telepon baru diangkat setelah 130 detik (sasaran 10 detik); tanpa itu tiba 6:20."
    )
    assert found.sentence_en == (
        "Late by 80 s (there at 8:20): the call was answered after 130 s (aim 10 s); without that, 6:20."
    )


def test_several_small_delays_are_named_together() -> None:
    """Answer +40, entry +35 and turnout +30: no single one saves 95 s, two do not, three do."""
    told = run(answered=50, opened=130, assigned=135, delivered=137, rolling=227, there=515)
    found = explained(told)
    assert found.decisive is None
    assert found.together == ["answer", "entry", "turnout"]
    assert "no single cause" in found.sentence_en


def test_a_response_out_of_reach_is_called_so() -> None:
    """Everything in time and the drive as predicted, but 15 minutes long."""
    found = explained(run(there=1_000))
    assert (found.decisive, found.together) == (None, [])
    assert "no unit could have been there sooner" in found.sentence_en


def test_a_unit_that_declined_costs_the_time_until_the_next_was_asked() -> None:
    told = Journal()
    told.call(0, "i1")
    told.assign(45, "a", "i1", unit="A-01")
    told.add(145, ev.JobDeclined(assignment_id="a", unit_id="A-01", incident_id="i1", reason="ban pecah"))
    told.assign(145, "b", "i1", unit="A-02", eta_s=345)
    told.add(147, ev.JobReceipted(assignment_id="b", step="delivered"))
    told.add(195, ev.UnitEnRoute(assignment_id="b"))
    told.arrive(480, "b", "i1", unit="A-02")
    found = explained(told)
    assert found.decisive == "reassigned"
    assert found.counterfactuals[0].saved_s == 100
    assert "A-01" in found.sentence_id


def test_waiting_for_any_unit_is_told_apart_from_deciding_slowly() -> None:
    told = Journal()
    told.call(0, "i1")
    told.add(40, ev.PlanShort(incident_id="i1", missing=["ambulance"], why="semua bertugas", retry_at=at(55)))
    told.assign(240, "a", "i1", eta_s=250)
    told.add(290, ev.UnitEnRoute(assignment_id="a"))
    told.arrive(480, "a", "i1")
    assert explained(told).decisive == "no_unit"


def recommend(told: Journal, seconds: float, ids: list[str], etas: list[float | None], chosen: str) -> None:
    verdicts = ["chosen" if u == chosen else "coverage" for u in ids]
    columns = ev.Candidates(unit_ids=ids, eta_s=etas, chance=[0.5] * len(ids), verdict=verdicts)
    told.add(
        seconds,
        ev.UnitRecommended(
            incident_id="i1", capability="ambulance", chosen=chosen, candidates=columns, policy="closest", router="road"
        ),
    )


def test_a_quicker_unit_that_was_not_sent_is_named_with_the_reason() -> None:
    told = Journal()
    told.call(0, "i1")
    recommend(told, 45, ["A-01", "A-07"], [400.0, 180.0], "A-01")
    told.assign(45, "a", "i1", eta_s=400)
    told.add(47, ev.JobReceipted(assignment_id="a", step="delivered"))
    told.add(95, ev.UnitEnRoute(assignment_id="a"))
    told.arrive(445, "a", "i1")
    found = explained(told)
    assert found.decisive == "choice"
    assert "A-07" in found.sentence_id
    assert "wilayahnya akan kosong" in found.sentence_id


def test_the_nearest_unit_on_another_job_and_one_more_unit_at_the_best_post_are_priced_by_road() -> None:
    """A-02 of the near post is away on i0 when A-01 must come 6.6 km."""
    told = Journal()
    told.call(0, "i0")
    told.assign(50, "a0", "i0", unit="A-02")
    told.arrive(200, "a0", "i0", unit="A-02")
    told.call(1_000, "i1")
    told.assign(1_045, "a", "i1", unit="A-01", eta_s=1_100)
    told.add(1_047, ev.JobReceipted(assignment_id="a", step="delivered"))
    told.add(1_095, ev.UnitEnRoute(assignment_id="a"))
    told.arrive(2_100, "a", "i1", unit="A-01")
    found = explained(told, roads=True)
    rows = {c.code: c for c in found.counterfactuals}
    router = StraightLineRouter()
    drive_s = router.eta_s(*NEAR, PLACE.lon, PLACE.lat)
    assert rows["post"].subject == "dekat"
    assert rows["post"].saved_s == pytest.approx(1_100 - 50 - drive_s)
    assert (rows["unit_free"].subject, rows["unit_free"].place) == ("A-02", "Pos Dekat")
    assert found.decisive in ("unit_free", "post")
    assert found.post == "dekat"
    assert found.approximate


def test_a_shallow_answer_is_replaced_by_the_deep_one_and_never_the_other_way() -> None:
    """Lists may be answered by arithmetic; once the engine was asked, its answer stays."""
    told = run(there=1_100, eta_s=1_065)
    timeline = Timeline().apply_all(told.told)
    attribution = Attribution(small_region(), StraightLineRouter())
    case = timeline.cases["i1"]
    shallow = attribution.explain(case, timeline, at(9_000), deep=False)
    deep = attribution.explain(case, timeline, at(9_000))
    assert shallow is not None
    assert deep is not None
    assert next(c for c in shallow.counterfactuals if c.code == "post").subject == "dekat"
    assert attribution.explain(case, timeline, at(9_000), deep=False) is deep


def test_turnout_is_judged_by_the_vehicles_own_time_at_that_hour() -> None:
    """Night turnout of this vehicle is 80 s, day 50 s: 60 s after the order is over by day only."""
    by_day = explained(run(delivered=45, rolling=105, there=500), roads=True)
    assert next(c for c in by_day.counterfactuals if c.code == "turnout").aim_s == 50


def test_an_arrival_the_server_heard_of_late_is_explained_by_the_signal() -> None:
    told = Journal()
    told.call(0, "i1")
    told.assign(45, "a", "i1", eta_s=250)
    told.add(95, ev.UnitEnRoute(assignment_id="a"))
    told.arrive(600, "a", "i1", device=290)
    found = explained(told)
    assert next(c for c in found.counterfactuals if c.code == "signal").saved_s == 310


@pytest.mark.parametrize(
    ("story", "code"),
    [
        ("nobody", "nobody_sent"),
        ("patrol", "not_capable"),
        ("geofence", "button_not_pressed"),
        ("declined", "nobody_came"),
        ("coming", "still_coming"),
        ("closed", "arrival_not_recorded"),
    ],
)
def test_a_response_nobody_is_recorded_to_have_reached_says_what_is_missing(story: str, code: str) -> None:
    told = Journal()
    told.call(0, "i1")
    if story != "nobody":
        told.assign(45, "a", "i1", capability="patrol" if story == "patrol" else "ambulance")
    if story == "patrol":
        told.arrive(200, "a", "i1")
    if story == "geofence":
        told.add(250, ev.ArrivalProposed(assignment_id="a"))
    if story == "declined":
        told.add(100, ev.JobDeclined(assignment_id="a", unit_id="A-01", incident_id="i1", reason="rusak"))
    if story == "closed":
        told.close(3_000, "i1")
    found = explained(told)
    assert found.decisive == code
    assert found.response_s is None
    assert found.sentence_id.endswith(".")


def test_police_at_the_scene_does_not_hide_that_the_ambulance_is_still_coming() -> None:
    """Only those who could have stopped the clock are spoken of."""
    told = Journal()
    told.call(0, "i1", required=("ambulance", "police"))
    told.assign(45, "a", "i1", unit="A-01")
    told.assign(45, "b", "i1", unit="K-01", capability="police", first=False)
    told.add(200, ev.ArrivalProposed(assignment_id="b"))
    told.arrive(210, "b", "i1", unit="K-01")
    found = explained(told)
    assert found.decisive == "still_coming"
    assert "A-01" in found.sentence_id
    assert "K-01" not in found.sentence_id


def test_one_made_late_by_a_later_record_says_so() -> None:
    told = Journal()
    told.call(0, "i1")
    told.respond(60, 300, "i1")
    told.call(200, "i2")
    told.merge(5_000, "i2", "i1")
    told.add(5_100, ev.IncidentUnmerged(incident_id="i2", out_of="i1", reports=[], assignments=[], first_ring_at=at(0)))
    timeline = Timeline().apply_all(told.told)
    assert Attribution().explain(timeline.cases["i1"], timeline, at(9_000)) is None
    assert Attribution().explain(timeline.cases["i2"], timeline, at(9_000)) is not None


def test_the_same_journal_gives_the_same_explanations_and_the_sums_add_up() -> None:
    """Ten days of a drawn city, twice."""

    def all_of() -> list[Explanation]:
        timeline = Timeline().apply_all(journal(10, seed=3))
        attribution = Attribution()
        found = (attribution.explain(case, timeline) for case in timeline.cases.values())
        return [e for e in found if e is not None]

    first, again = all_of(), all_of()
    assert first == again
    assert len(first) > 50
    sums = summarise(first)
    assert sums.late == len(first) == sum(c.decisive for c in sums.causes)
    for table in (sums.by_post, sums.by_hour, sums.by_zone):
        assert sum(n for row in table.values() for n in row.values()) == len(first)
    assert all(e.sentence_id and e.sentence_en for e in first)


def test_every_cause_has_a_name_in_both_languages() -> None:
    assert set(SENTENCES) <= set(NAMES)
    assert all(text_id and text_en for text_id, text_en in NAMES.values())
