"""Is this new report about something we already know? A likeness score with its reasons; a person or a rule decides.

The score is the product of three parts, each 0..1: nearness in space, nearness in time (Gaussian kernels whose width is half
the search limit, so that a report at the limit scores 0.14) and kind. It orders suspicions well and reads as a figure,
but it is not a calibrated probability, and screens must not call it one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

import msgspec

from geo.router import straight_line_m

RELATED_PART = 0.7
"""Kind part of the score when the kinds differ but may be the same event (a crash reported as "medical")."""

Candidate = tuple[str, str, float, float, datetime]
"""incident_id, kind, lon, lat, first_ring_at."""
Related = Callable[[str, str], bool] | Mapping[str, Collection[str]]


class Likeness(msgspec.Struct, frozen=True):
    """How much an open incident looks like the new report. `age_s` is positive when the incident rang first."""

    incident_id: str
    score: float
    distance_m: float
    age_s: float
    same_kind: bool
    why: str
    """One line in Indonesian; `explain` gives it in English."""


def similar(
    kind: str,
    lon: float,
    lat: float,
    at: datetime,
    candidates: Iterable[Candidate],
    radius_m: float,
    window_s: float,
    related: Related,
) -> list[Likeness]:
    """Every candidate within `radius_m` and `window_s` of the same or a related kind, the likeliest first.

    `related` says whether two different kinds may be one event, as a function or as kind -> kinds (read both ways). Ties
    are broken by distance, then by incident id, so the order is always the same.
    """
    found = []
    for incident_id, other_kind, other_lon, other_lat, first_ring_at in candidates:
        age_s = (at - first_ring_at).total_seconds()
        if abs(age_s) > window_s:
            continue
        if kind != other_kind and not _are_related(related, kind, other_kind):
            continue
        distance_m = straight_line_m(lon, lat, other_lon, other_lat)
        if not distance_m <= radius_m:
            continue
        same_kind = kind == other_kind
        part = 1.0 if same_kind else RELATED_PART
        score = part * _nearness(distance_m, radius_m) * _nearness(age_s, window_s)
        why = explain(distance_m, age_s, same_kind)
        found.append(Likeness(incident_id, round(score, 4), round(distance_m, 1), age_s, same_kind, why))
    found.sort(key=lambda likeness: (-likeness.score, likeness.distance_m, likeness.incident_id))
    return found


def explain(distance_m: float, age_s: float, same_kind: bool, language: str = "id") -> str:
    """The reasons behind a score: "85 m, 4 menit lebih dulu, jenis sama"."""
    minutes = round(abs(age_s) / 60.0)
    if language == "en":
        when = "at the same time" if minutes == 0 else f"{minutes} min {'earlier' if age_s > 0 else 'later'}"
        return f"{distance_m:.0f} m away, {when}, {'same' if same_kind else 'related'} kind"
    when = "bersamaan" if minutes == 0 else f"{minutes} menit lebih {'dulu' if age_s > 0 else 'akhir'}"
    return f"{distance_m:.0f} m, {when}, jenis {'sama' if same_kind else 'berkaitan'}"


def _nearness(value: float, limit: float) -> float:
    if limit <= 0.0:
        return 1.0  # a limit of zero admits only exact matches
    return math.exp(-0.5 * (value / (limit / 2.0)) ** 2)


def _are_related(related: Related, one: str, other: str) -> bool:
    if callable(related):
        return related(one, other)
    return other in related.get(one, ()) or one in related.get(other, ())
