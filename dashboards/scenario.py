"""What a manager may ask "what if" about, and what comes back: shapes, limits, and the comparison of two simulated cities.

The simulator itself is not here (`simulators/whatif.py`, run as a process of its own); both sides speak these shapes. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from dispatch.model import Rejected
from dispatch.region import Region
from sla.statistics import Share, share

ADDED_MAX = 5
"""Kinds of additions in one question; more are no longer one question."""
CLOSED_MAX = 10
DAYS_MIN, DAYS_MAX = 7, 84
"""Below a week the weekdays are uneven; above twelve the wait is longer than a meeting."""
BLOCK_DAYS = 14
"""Days simulated in one go. Blocks are spread over the year, so that a scenario meets every season."""
FIRST_DAYS = 5
"""Of the first block: short, so that an answer with its (wide) interval stands there soon and narrows with each block."""
RANKED_MAX = 30
CHECKED_MAX = 5
ZONE_N_MIN = 10
"""Fewer emergencies in a kecamatan say nothing about it."""

Code = Annotated[str, msgspec.Meta(max_length=64)]
Hour = Annotated[float, msgspec.Meta(ge=0.0, le=24.0)]


class AddUnits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """More units at a post of the region, or at a new place; on duty between two local hours every day."""

    unit_type: Code
    count: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    post: Code = ""
    lon: float | None = None
    lat: float | None = None
    name: Annotated[str, msgspec.Meta(max_length=80)] = ""
    """Of the new place."""
    from_h: Hour = 0.0
    to_h: Hour = 0.0
    """Equal hours: day and night. Over midnight when `to_h` is the smaller."""
    cost_hour: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] | None = None
    """Rupiah one unit on duty costs an hour; None = nobody knows, then nothing is said about cost."""

    @property
    def hours(self) -> float:
        """On duty a day."""
        return (self.to_h - self.from_h) % 24.0 or 24.0


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is different from the region as its pack has it."""

    add: Annotated[list[AddUnits], msgspec.Meta(max_length=ADDED_MAX)] = []
    close: Annotated[list[Code], msgspec.Meta(max_length=CLOSED_MAX)] = []
    closed_units: Literal["nearest", "gone"] = "nearest"
    """What becomes of the units of a closed post."""
    move_up: bool | None = None
    """None = as the pack's policy has it."""
    answer_s: Annotated[float, msgspec.Meta(ge=1.0, le=300.0)] | None = None
    """Median ring to answer."""

    @property
    def nothing(self) -> bool:
        return self == Changes()


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scenario to be simulated beside the city as it is, on the same emergencies."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    changes: Changes
    days: Annotated[int, msgspec.Meta(ge=DAYS_MIN, le=DAYS_MAX)] = 28
    seed: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1


class RankQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one more unit of a type would help most: every kelurahan by its gain in coverage, the best few simulated."""

    unit_type: Code
    from_h: Hour = 0.0
    to_h: Hour = 0.0
    check: Annotated[int, msgspec.Meta(ge=0, le=CHECKED_MAX)] = 3
    days: Annotated[int, msgspec.Meta(ge=DAYS_MIN, le=DAYS_MAX)] = 28
    seed: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1


class Place(msgspec.Struct, frozen=True):
    """A candidate for a post. `gain` is the share of priority-1 demand newly covered in expectation (not simulated)."""

    code: str
    name: str
    zone: str
    lon: float
    lat: float
    gain: float


class Block(msgspec.Struct, frozen=True):
    """What one process is to do: arms on the same drawn emergencies, the first arm being the city as it is."""

    pack: str
    var: str
    arms: list[Changes]
    days: int
    seed: int
    first_day: int
    """Day of the year on which the block begins."""
    rank: RankQuestion | None = None
    """Set: find the best places first; the best `rank.check` become further arms."""


class Drawn(msgspec.Struct, frozen=True):
    """The priority-1 emergencies of a block: columns of equal length. `response_s` has one row an arm, None = never reached."""

    day: list[int]
    zone: list[int]
    response_s: list[list[float | None]]
    zones: list[str]
    """Codes `zone` points into."""
    moves: list[int]
    """Orders to move, by arm."""
    target_s: float
    approximate_roads: bool
    policy: str
    places: list[Place] = []


class ZoneChange(msgspec.Struct, frozen=True):
    """One kecamatan: emergencies, on time before and after, those gained and those lost."""

    code: str
    name: str
    n: int
    before: int
    after: int
    gained: int
    lost: int


class Answer(msgspec.Struct, frozen=True):
    """What a scenario changed. Shares 0..1; `change` is after minus before, with its 95 % interval."""

    before: Share
    after: Share
    change: float
    low: float
    high: float
    days: int
    p90_before_s: float | None
    p90_after_s: float | None
    moves_before: int
    moves_after: int
    zones: list[ZoneChange]
    policy: str
    approximate_roads: bool
    more_in_time_yearly: float
    """Emergencies a year reached in time that were not before; negative when fewer."""
    cost_yearly: float | None = None
    """Rupiah, where every added unit's hourly cost is given."""
    cost_each: float | None = None
    """Rupiah for one more emergency in time; None when cost is unknown or the change is not surely a gain."""


class Ranked(msgspec.Struct, frozen=True):
    """A place of the list "best next post"; `answer` only where it was simulated."""

    place: Place
    answer: Answer | None


def check(question: Question | RankQuestion, region: Region) -> None:
    """Raises Rejected with the field named when the question does not fit the region."""
    if isinstance(question, RankQuestion):
        _known_type(question.unit_type, region, "unit_type")
        return
    changes = question.changes
    if changes.nothing:
        raise Rejected("nothing_to_compare", "changes")
    for code in changes.close:
        if code not in region.posts:
            raise Rejected("unknown_post", "changes.close", post=code)
    if len(set(changes.close)) != len(changes.close):
        raise Rejected("invalid_body", "changes.close", why="repeated")
    left = {u.home_post for u in region.units.values()} - set(changes.close)
    if not left:
        raise Rejected("nothing_to_compare", "changes.close")
    for number, added in enumerate(changes.add):
        where = f"changes.add[{number}]"
        _known_type(added.unit_type, region, f"{where}.unit_type")
        if added.post:
            if added.post not in region.posts or added.post in changes.close:
                raise Rejected("unknown_post", f"{where}.post", post=added.post)
        elif added.lon is None or added.lat is None:
            raise Rejected("unknown_post", f"{where}.post", post="")
        elif not region.contains(added.lon, added.lat):
            raise Rejected("outside_region", f"{where}.lon")


def _known_type(code: str, region: Region, field: str) -> None:
    if code not in region.unit_types:
        raise Rejected("unknown_unit_type", field, unit_type=code)


def blocks(days: int) -> list[tuple[int, int]]:
    """(days, first day of the year) of each block, spread evenly over the year, the short one first."""
    rest = days - FIRST_DAYS
    count = math.ceil(rest / BLOCK_DAYS)
    sizes = [FIRST_DAYS, *(rest // count + (1 if i < rest % count else 0) for i in range(count))]
    return [(size, i * 365 // len(sizes)) for i, size in enumerate(sizes)]


def compare(drawn: Sequence[Drawn], arm: int, names: dict[str, str], changes: Changes) -> Answer:
    """Arm `arm` against arm 0 over all blocks.

    The interval is paired: both arms meet the same emergencies, so a day's difference is one observation. Share difference
    d = sum(after - before) / n with the cluster-robust variance of a ratio, clusters = days (Cochran, Sampling Techniques,
    1977, section 6.5), and Student's t with days - 1 degrees of freedom.
    """
    first = drawn[0]
    target_s = first.target_s
    before_s = _column(drawn, 0)
    after_s = _column(drawn, arm)
    before, after = before_s <= target_s, after_s <= target_s
    zone = np.concatenate([np.array(d.zone, np.int64) for d in drawn])
    day = np.concatenate([np.array(d.day, np.int64) + 1000 * i for i, d in enumerate(drawn)])
    n = len(before)
    if n == 0:
        raise Rejected("nothing_to_compare", "days")
    change, low, high = paired(after.astype(np.float64) - before, day)
    days = len(np.unique(day))
    size = len(first.zones)
    counts = [np.bincount(zone[of], minlength=size) for of in (before | True, before, after, after & ~before, before & ~after)]  # fmt: skip
    zones = [
        ZoneChange(code, names.get(code, code), *(int(c[z]) for c in counts))
        for z, code in enumerate(first.zones)
        if counts[0][z]
    ]
    yearly = change * n * 365.0 / days
    cost = cost_yearly(changes)
    return Answer(
        before=share(int(before.sum()), n),
        after=share(int(after.sum()), n),
        change=change,
        low=low,
        high=high,
        days=days,
        p90_before_s=_p90(before_s),
        p90_after_s=_p90(after_s),
        moves_before=sum(d.moves[0] for d in drawn),
        moves_after=sum(d.moves[arm] for d in drawn),
        zones=zones,
        policy=first.policy,
        approximate_roads=first.approximate_roads,
        more_in_time_yearly=yearly,
        cost_yearly=cost,
        cost_each=cost / yearly if cost is not None and low > 0.0 else None,
    )


def paired(difference: npt.NDArray[np.float64], day: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """(mean, low, high) of per-emergency differences clustered by day; see `compare`. One day alone has no interval: +-1."""
    n = len(difference)
    mean = float(difference.sum()) / n
    _, of = np.unique(day, return_inverse=True)
    clusters = int(of.max()) + 1
    if clusters < 2:
        return mean, -1.0, 1.0
    residual = np.bincount(of, weights=difference) - mean * np.bincount(of)
    variance = clusters / (clusters - 1) * float((residual**2).sum()) / n**2
    half = float(stdtrit(clusters - 1, 0.975)) * math.sqrt(variance)
    return mean, max(-1.0, mean - half), min(1.0, mean + half)


def cost_yearly(changes: Changes) -> float | None:
    """Rupiah a year of everything added; None when one cost is unknown or nothing is added."""
    if not changes.add or any(a.cost_hour is None for a in changes.add):
        return None
    return sum(a.count * a.hours * 365.0 * (a.cost_hour or 0.0) for a in changes.add)


def _column(drawn: Sequence[Drawn], arm: int) -> npt.NDArray[np.float64]:
    """Response seconds of an arm over all blocks, inf where nobody came."""
    values = [math.inf if s is None else s for d in drawn for s in d.response_s[arm]]
    return np.array(values, np.float64)


def _p90(times_s: npt.NDArray[Any]) -> float | None:
    value = float(np.sort(times_s)[max(0, math.ceil(0.9 * len(times_s)) - 1)])
    return value if math.isfinite(value) else None
