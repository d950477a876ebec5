"""Is a new report about something we already know?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dispatch import duplicates
from dispatch.duplicates import Candidate, Likeness

AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
LON, LAT = 112.7391, -7.2912
M_LAT = 1.0 / 111_320.0  # degrees of latitude in a metre

RELATED = {"laka": {"medis"}}


def candidate(incident_id: str, north_m: float = 0.0, earlier_s: float = 60.0, kind: str = "laka") -> Candidate:
    return incident_id, kind, LON, LAT + north_m * M_LAT, AT - timedelta(seconds=earlier_s)


def similar(
    *candidates: Candidate, kind: str = "laka", radius_m: float = 250.0, window_s: float = 1800.0
) -> list[Likeness]:
    return duplicates.similar(kind, LON, LAT, AT, candidates, radius_m, window_s, RELATED)


def test_the_same_accident_reported_again_scores_high() -> None:
    """60 m and two minutes apart: an operator should be offered to attach it with one key."""
    (likeness,) = similar(candidate("I1", 60.0, 120.0))
    assert likeness.score > 0.85
    assert likeness.why == "60 m, 2 menit lebih dulu, jenis sama"
    assert duplicates.explain(60.0, 120.0, True, "en") == "60 m away, 2 min earlier, same kind"


def test_a_related_kind_counts_less_and_an_unrelated_one_not_at_all() -> None:
    """A crash may be reported as "medical"; a snake is another matter. The relation is read both ways."""
    same, related, unrelated = candidate("I1"), candidate("I2", kind="medis"), candidate("I3", kind="evakuasi_hewan")
    found = similar(unrelated, related, same)
    assert [likeness.incident_id for likeness in found] == ["I1", "I2"]
    assert found[0].score > found[1].score
    assert [likeness.incident_id for likeness in similar(same, kind="medis")] == ["I1"]


def test_the_relation_may_be_a_function() -> None:
    """As the engine gives it: Region.are_related."""
    asked: list[tuple[str, str]] = []

    def related(one: str, other: str) -> bool:
        asked.append((one, other))
        return True

    found = duplicates.similar("laka", LON, LAT, AT, [candidate("I1", kind="banjir")], 250.0, 1800.0, related)
    assert len(found) == 1
    assert asked == [("laka", "banjir")]


def test_limits_are_limits() -> None:
    """Just inside the radius and the window counts a little, just outside not at all; a later ring counts as well."""
    assert [x.incident_id for x in similar(candidate("in", 249.0), candidate("out", 251.0))] == ["in"]
    assert [x.incident_id for x in similar(candidate("in", 0, 1799), candidate("out", 0, 1801))] == ["in"]
    (late,) = similar(candidate("I1", 0.0, -600.0))
    assert "10 menit lebih akhir" in late.why
    (edge,) = similar(candidate("I1", 249.0, 0.0))
    assert 0.10 < edge.score < 0.20


def test_a_limit_of_zero_admits_only_the_exact_match() -> None:
    """A region may switch the search off in space or time."""
    assert [x.incident_id for x in similar(candidate("here", 0, 0), candidate("there", 5, 0), radius_m=0.0)] == ["here"]
    assert [x.incident_id for x in similar(candidate("now", 0, 0), candidate("then", 0, 1), window_s=0.0)] == ["now"]


def test_nothing_known_is_nothing_like_it() -> None:
    """No candidates, no suspicion."""
    assert similar() == []


places = st.tuples(st.floats(-400, 400), st.floats(-2400, 2400))


@given(places, places)
def test_nearer_in_space_and_time_never_scores_less(one: tuple[float, float], other: tuple[float, float]) -> None:
    """Score falls with distance and with time apart, each alone."""
    scores = [{x.incident_id: x.score for x in similar(candidate("a", *one), candidate("b", *other))}][0]
    if abs(one[0]) <= abs(other[0]) and abs(one[1]) <= abs(other[1]) and "b" in scores:
        assert scores["a"] >= scores["b"] - 1e-3  # scores are rounded to four digits, positions to a float's


@given(st.lists(places, max_size=12), st.randoms(use_true_random=False))
def test_the_order_is_by_score_and_does_not_depend_on_the_input(
    found_at: list[tuple[float, float]], random: object
) -> None:
    """Deterministic: the same incidents in any order give the same list, best first, scores in 0..1."""
    candidates = [candidate(f"I{n:02d}", *place) for n, place in enumerate(found_at)]
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = similar(*candidates)
    assert similar(*shuffled) == found
    assert [x.score for x in found] == sorted((x.score for x in found), reverse=True)
    assert all(0.0 <= x.score <= 1.0 and x.distance_m <= 250.0 for x in found)
