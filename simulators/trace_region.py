"""A region pack made on the fly from a fire department's own records: what it went to, with what, how fast.

Reads the San Francisco Fire format (see `sla/trace.py`). Everything comes from the rows but the hospitals, which the
records do not name. Pure apart from reading the two files.
"""

from __future__ import annotations

import csv
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from dispatch.model import Rejected
from dispatch.region import (
    AUTO,
    Capability,
    Hospital,
    Kind,
    Limits,
    Plan,
    Post,
    Region,
    Slot,
    UnitSpec,
    UnitType,
    Zone,
)
from geo.router import straight_line_m

EMERGENCY = "3"
"""San Francisco's final priority 3 = emergency, 2 = not; our priorities 1 and 2."""
ZONE_NAME = "America/Los_Angeles"
CALLS_MAX = 100_000
"""A year of a large city; the replay is meant for days and weeks."""
MARGIN_DEG = 0.02
"""About 2 km around the calls."""
DETOUR = 1.3
"""Road over straight line in a street grid, at most 1.41; only splits the measured seconds a metre into two factors."""
TRANSPORT_TYPES = frozenset({"medic", "private"})
POST_UNITS_MAX = 8
ALTERNATIVES: dict[str, tuple[str, ...]] = {
    "engine": ("engine", "truck"),
    "truck": ("truck", "engine"),
    "chief": ("chief", "rescue_captain"),
    "ambulance": ("medic", "private"),
    "rescue": ("rescue_squad", "truck"),
}
"""Group of unit types -> who may fill its place, the preferred first."""
GROUP = {
    "engine": "engine",
    "truck": "truck",
    "chief": "chief",
    "medic": "ambulance",
    "private": "ambulance",
    "rescue_squad": "rescue",
}
FIRST_TYPES = ("engine", "medic", "truck", "private", "rescue_squad")
"""Any of these brings capable first help to a patient."""
MEDICAL_KINDS = frozenset({"medical_incident", "traffic_collision", "water_rescue", "industrial_accidents"})
HOSPITALS = (
    # Emergency departments of the city, typed by hand, good to some 200 m; the records name none.
    ("ZSFG", "Zuckerberg San Francisco General", -122.4048, 37.7557),
    ("UCSF", "UCSF Parnassus", -122.4577, 37.7631),
    ("SMMC", "St. Mary's", -122.4543, 37.7741),
    ("CPMC", "CPMC Pacific", -122.4330, 37.7908),
    ("SFMH", "Saint Francis", -122.4168, 37.7896),
    ("KPSF", "Kaiser San Francisco", -122.4429, 37.7825),
    ("SLH", "St. Luke's", -122.4205, 37.7477),
    ("VAMC", "VA San Francisco", -122.5044, 37.7822),
    ("CHIN", "Chinese Hospital", -122.4091, 37.7955),
)


class Response(msgspec.Struct):
    """One unit's row. Seconds since local midnight of the first day; None = not recorded."""

    call_id: str
    unit: str
    unit_type: str
    dispatch_s: float | None
    response_s: float | None
    on_scene_s: float | None
    transport_s: float | None
    hospital_s: float | None
    available_s: float | None


class RecordedCall(msgspec.Struct):
    """One call with its unit rows."""

    call_id: str
    kind: str
    kind_name: str
    priority: int
    station: str
    lon: float
    lat: float
    received_s: float
    entry_s: float
    responses: list[Response] = []


class Trace(msgspec.Struct):
    """A stretch of a city's calls, ordered by the time they came in."""

    calls: list[RecordedCall]
    start_at: datetime
    """Local midnight of the first day, with its zone."""


def slug(text: str) -> str:
    """`Gas Leak (Natural and LP Gases)` -> `gas_leak_natural_and_lp_gases`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60]


def read(folder: Path) -> Trace:
    """The records in `folder`. Raises Rejected with the file and row to mend."""
    calls_file, responses_file = _one(folder, "calls_*.csv"), _one(folder, "responses_*.csv")
    by_call: dict[str, list[Response]] = defaultdict(list)
    for row in _rows(responses_file):
        by_call[row["call"]].append(
            Response(
                call_id=row["call"],
                unit=row["unit"],
                unit_type=slug(row["unit_type"]),
                dispatch_s=_seconds(row, "dispatch"),
                response_s=_seconds(row, "response"),
                on_scene_s=_seconds(row, "on_scene"),
                transport_s=_seconds(row, "transport"),
                hospital_s=_seconds(row, "hospital"),
                available_s=_seconds(row, "available"),
            )
        )
    calls = []
    for row in _rows(calls_file):
        received_s = _seconds(row, "received")
        if received_s is None or not row["lat"] or not row["lon"]:
            continue
        entry_s = _seconds(row, "entry")
        calls.append(
            RecordedCall(
                call_id=row["call"],
                kind=slug(row["call_type"]),
                kind_name=row["call_type"],
                priority=1 if row["final_priority"] == EMERGENCY else 2,
                station=row["station_area"],
                lon=float(row["lon"]),
                lat=float(row["lat"]),
                received_s=received_s,
                entry_s=max(received_s, entry_s if entry_s is not None else received_s),
                responses=by_call.get(row["call"], []),
            )
        )
    calls.sort(key=lambda c: (c.received_s, c.call_id))
    if not calls:
        raise Rejected("trace_empty", calls_file.name)
    if len(calls) > CALLS_MAX:
        raise Rejected("trace_too_long", calls_file.name, calls=len(calls), calls_max=CALLS_MAX)
    return Trace(calls, _first_midnight(calls_file.name))


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise Rejected("trace_file_missing" if not found else "trace_file_twice", pattern, folder=folder.name)
    return found[0]


def _rows(file: Path) -> Iterable[dict[str, str]]:
    with file.open(newline="", encoding="utf-8-sig") as stream:
        yield from csv.DictReader(stream, restval="")


def _seconds(row: dict[str, str], column: str) -> float | None:
    text = row.get(column, "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise Rejected("bad_time", column, call=row.get("call"), value=text[:40]) from None


def _first_midnight(name: str) -> datetime:
    """From `calls_2016-12-31_2017-01-07.csv`."""
    found = re.search(r"(\d{4})-(\d{2})-(\d{2})", name)
    if found is None:
        raise Rejected("trace_date_missing", name)
    year, month, day = (int(part) for part in found.groups())
    return datetime(year, month, day, tzinfo=ZoneInfo(ZONE_NAME))


# --- deriving the pack


def derive(trace: Trace, speed: float = 1.0) -> Region:
    """The region these records describe. `speed`: of the replay; see the acknowledgement limit below."""
    calls = trace.calls
    rows = [r for c in calls for r in c.responses]
    places = {c.call_id: (c.lon, c.lat) for c in calls}
    stations = _stations(calls)
    kinds = {
        code: Kind(
            code=code,
            name_id=name,
            name_en=name,
            priority=min(c.priority for c in calls if c.kind == code),
            agency="sffd",
            medical=code in MEDICAL_KINDS,
        )
        for code, name in sorted({(c.kind, c.kind_name) for c in calls})
    }
    unit_types = _unit_types(rows)
    lons, lats = [c.lon for c in calls], [c.lat for c in calls]
    bbox = (min(lons) - MARGIN_DEG, min(lats) - MARGIN_DEG, max(lons) + MARGIN_DEG, max(lats) + MARGIN_DEG)
    units, posts = _units(calls, stations)
    s_per_m = _s_per_m(calls, units, posts)
    kmh = round(3.6 * DETOUR / s_per_m, 2)
    hospitals = {
        code: Hospital(code, name, lon, lat, assumed=True)
        for code, name, lon, lat in HOSPITALS
        if bbox[0] <= lon <= bbox[2] and bbox[1] <= lat <= bbox[3]
    }
    if not hospitals:  # another city's records: the middle of all transports stands in
        lon, lat = _median(places[r.call_id] for r in rows if r.transport_s is not None) or (lons[0], lats[0])
        hospitals = {"ED": Hospital("ED", "Emergency department", lon, lat, assumed=True)}
    return Region(
        code="sf_fire",
        name="San Francisco Fire Department (replay)",
        utc_offset_h=(trace.start_at.utcoffset() or timedelta()).total_seconds() / 3600.0,
        bbox=bbox,
        kinds=kinds,
        unit_types=unit_types,
        units=units,
        posts=posts,
        hospitals=hospitals,
        plans=_plans(calls, kinds),
        zones={p.code: Zone(p.code, p.name, p.lon, p.lat, 0, 3.0) for p in posts.values()},
        capabilities={t: Capability(t, t, t) for t in unit_types},
        command_centre=_median(places.values()),
        speed_kmh={"lights": kmh, "regular": round(kmh * 0.7, 2)},
        detour_factor=DETOUR,
        limits=Limits(
            # Compressed time makes minutes of half a second on a busy machine; without this allowance the ladder would take
            # crews off duty for the scheduler's sake.
            ack_timeout_s=30.0 + 0.5 * speed,
            risk_check_s=60.0,
            candidates_max=12,
        ),
    )


def _median(points: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    found = list(points)
    if not found:
        return None
    return round(statistics.median(p[0] for p in found), 6), round(statistics.median(p[1] for p in found), 6)


def _stations(calls: list[RecordedCall]) -> dict[str, tuple[float, float]]:
    """Station -> where it probably is: the median of the calls to which a unit of its number came first."""
    first_at: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for call in calls:
        arrived = [r for r in call.responses if r.on_scene_s is not None]
        if arrived:
            first = min(arrived, key=lambda r: (r.on_scene_s or 0.0, r.unit))
            number = re.search(r"\d+$", first.unit)
            if first.unit_type in ("engine", "truck") and number is not None:
                first_at[number.group().zfill(2)].append((call.lon, call.lat))
    stations = {number: place for number, points in first_at.items() if (place := _median(points)) is not None}
    if not stations:
        middle = _median((c.lon, c.lat) for c in calls)
        assert middle is not None
        stations = {"00": middle}
    return dict(sorted(stations.items()))


def _unit_types(rows: list[Response]) -> dict[str, UnitType]:
    """Each type seen, with its median turnout (dispatch to rolling)."""
    found: dict[str, UnitType] = {}
    for code in sorted({r.unit_type for r in rows} | set(FIRST_TYPES[:2])):
        turnouts = [
            r.response_s - r.dispatch_s
            for r in rows
            if r.unit_type == code and r.response_s is not None and r.dispatch_s is not None
        ]
        turnout_s = round(max(5.0, statistics.median(turnouts)), 1) if turnouts else 60.0
        found[code] = UnitType(
            code=code,
            letter=code[0].upper(),
            name_id=code,
            name_en=code,
            capabilities=frozenset({code}),
            mode="lights",
            turnout_day_s=turnout_s,
            turnout_night_s=turnout_s,
            transport=code in TRANSPORT_TYPES,
        )
    return found


def _units(
    calls: list[RecordedCall], stations: dict[str, tuple[float, float]]
) -> tuple[dict[str, UnitSpec], dict[str, Post]]:
    """Units at the station of their number; those without one (ambulances roam) at the area they served most."""
    types: dict[str, str] = {}
    served: dict[str, Counter[str]] = defaultdict(Counter)
    for call in calls:
        for r in call.responses:
            types.setdefault(r.unit, r.unit_type)
            served[r.unit][call.station] += 1
    free = Counter(dict.fromkeys(stations, POST_UNITS_MAX))
    units: dict[str, UnitSpec] = {}
    roaming = []
    for unit, unit_type in sorted(types.items()):
        number = re.search(r"\d+$", unit)
        home = number.group().zfill(2) if number is not None else ""
        if unit_type in ("engine", "truck") and home in stations:
            units[unit] = UnitSpec(unit, unit_type, "sffd", f"S{home}")
            free[home] -= 1
        else:
            roaming.append(unit)
    for unit in sorted(roaming, key=lambda u: (-served[u].total(), u)):
        order = [area for area, _ in served[unit].most_common() if free[area] > 0]
        home = order[0] if order else max(free, key=lambda s: (free[s], s))
        free[home] -= 1
        units[unit] = UnitSpec(unit, types[unit], "sffd", f"S{home}")
    posts = {
        f"S{number}": Post(f"S{number}", f"Station {number}", "fire", lon, lat, capacity=200)
        for number, (lon, lat) in stations.items()
    }
    return dict(sorted(units.items())), posts


def _s_per_m(calls: list[RecordedCall], units: dict[str, UnitSpec], posts: dict[str, Post]) -> float:
    """Seconds a straight metre takes: all travel of engines to their calls over all distance from their stations."""
    travelled_s = straight_m = 0.0
    for call in calls:
        for r in call.responses if call.priority == 1 else ():
            if r.unit_type != "engine" or r.response_s is None or r.on_scene_s is None:
                continue
            home = posts[units[r.unit].home_post]
            took_s, away_m = r.on_scene_s - r.response_s, straight_line_m(home.lon, home.lat, call.lon, call.lat)
            if 10.0 < took_s < 1800.0 and away_m > 200.0:
                travelled_s += took_s
                straight_m += away_m
    return travelled_s / straight_m if straight_m > 0.0 else 3.6 * DETOUR / 30.0


def _plans(calls: list[RecordedCall], kinds: dict[str, Kind]) -> tuple[Plan, ...]:
    """What was usually sent to each kind and priority: the median number of units of each group, the first help first."""
    plans = []
    for kind in sorted(kinds):
        for priority in (1, 2):
            sent: dict[str, list[int]] = defaultdict(list)
            those = [c for c in calls if c.kind == kind and c.priority == priority]
            for call in those:
                counts = Counter(GROUP.get(r.unit_type, "") for r in call.responses)
                for group in ALTERNATIVES:
                    sent[group].append(counts[group])
            usual = {group: round(statistics.median(counts)) for group, counts in sent.items()}
            slots = []
            if kinds[kind].medical:
                usual["ambulance"] = max(1, usual.get("ambulance", 0))
                if priority == 1 and usual.get("engine", 0) > 0:  # whoever is nearest brings first help
                    slots.append(Slot(FIRST_TYPES))
                    usual["engine"] -= 1
            slots += [
                Slot(ALTERNATIVES[group], count=count, first=group != "chief")
                for group, count in usual.items()
                if count > 0
            ]
            if slots:
                plans.append(
                    Plan(f"{kind}_p{priority}"[:64], frozenset({kind}), tuple(slots), frozenset({priority}), mode=AUTO)
                )
    plans.append(Plan("anything", frozenset(kinds), (Slot(FIRST_TYPES),)))
    return tuple(plans)
