"""From a folder `regions/<name>/` to a validated `Region`: the only way a city's facts enter the system.

A pack may stand on another one (`base = "../surabaya"` in region.toml): files it does not have are taken from there, so a
second regency writes its own places and units and keeps the national kinds, questions and words. `load` either returns
a Region whose every cross-reference holds, or raises `PackError` with everything that is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dispatch import pack_language, pack_plans
from dispatch.pack_problems import PackError, Problem
from dispatch.pack_tables import (
    Column,
    Files,
    choice,
    code,
    codes,
    number,
    optional_text,
    text,
    whole,
    yes_no,
)
from dispatch.region import (
    Agency,
    Capability,
    Demand,
    Hospital,
    Kind,
    Limits,
    Post,
    Premise,
    Region,
    UnitSpec,
    UnitType,
    Zone,
)

__all__ = ["PackError", "Problem", "load"]

POST_KINDS = (
    "posko",
    "pos_pantau",
    "pos_kota",
    "fire",
    "police",
    "puskesmas",
    "agency",
    "utility",
    "command",
    "street",
)
"""Where units may stand. `street` is a waiting point without a building."""
SPEED_KMH_MAX = 150.0
"""No city vehicle averages more; above it a unit of measure was mistaken."""
LIMIT_MAX = 86_400.0
"""A day: no time or distance of one response is larger."""
PREMISE_RADIUS_M_MAX = 1000.0
"""A factory's grounds; what is said of more than that is no note about a place."""
TURNOUT_S_MAX = 3600.0
"""Partners on call from home may need most of an hour; more is not a turnout time."""


class RegionEntry(msgspec.Struct, frozen=True):
    """What stands in region.toml."""

    code: str
    name: str
    utc_offset_h: float
    bbox: tuple[float, float, float, float]
    command_centre: tuple[float, float]
    base: str = ""
    policy: str = "closest"
    detour_factor: float = 1.35
    speed_kmh: dict[str, float] = {}
    limits: dict[str, Any] = {}
    partners: tuple[str, ...] = ()
    """Agencies that are asked, not ordered: mutual aid."""
    volunteers: tuple[str, ...] = ()


def load(folder: Path) -> Region:
    """Read and check the pack in `folder`. Raises PackError listing every problem found."""
    files = Files(folder)
    data = files.toml("region.toml")
    entry: RegionEntry | None = None if data is None else files.entry("region.toml", None, data, RegionEntry)
    box = None if entry is None else _check_region(files, entry)
    limits = Limits() if entry is None else _limits(files, entry.limits)
    capabilities = _capabilities(files)
    agencies = _agencies(files, *(((), ()) if entry is None else (entry.partners, entry.volunteers)))
    zones = _zones(files, box)
    posts = _posts(files, box)
    hospitals = _hospitals(files, box)
    premises = _premises(files, box)
    kinds, words = pack_language.words(files, _kinds(files))
    unit_types = _unit_types(files, {} if entry is None else entry.speed_kmh)
    units = _units(files, unit_types, posts)
    whole = len(units) == files.count(
        "units.csv"
    )  # counting what is left of a broken table would only echo its problems
    fleet = Counter(unit_types[unit.unit_type].capabilities for unit in units.values()) if whole else None
    plans = pack_plans.plans(files, kinds, fleet)
    triage, triage_version = pack_language.triage(files)
    demand = _demand(files, zones)
    if entry is None or files.problems:
        raise PackError(folder.name, files.problems)
    return Region(
        code=entry.code,
        name=entry.name,
        utc_offset_h=entry.utc_offset_h,
        bbox=entry.bbox,
        kinds=kinds,
        unit_types=unit_types,
        units=units,
        posts=posts,
        hospitals=hospitals,
        premises=premises,
        plans=plans,
        zones=zones,
        agencies=agencies,
        capabilities=capabilities,
        triage=triage,
        triage_version=triage_version,
        words=words,
        demand=demand,
        command_centre=entry.command_centre,
        speed_kmh=entry.speed_kmh,
        detour_factor=entry.detour_factor,
        limits=limits,
        policy=entry.policy,
    )


# --- region.toml


Box = tuple[float, float, float, float]
"""west, south, east, north in degrees."""


def _check_region(files: Files, entry: RegionEntry) -> Box | None:
    """Checks region.toml, finds the base pack; the box in which every point must lie, None when it is no box."""
    file = "region.toml"
    if entry.base:
        files.base = (files.folder / entry.base).resolve()
        base = Files(files.base).toml("region.toml")
        if base is None:
            files.report(file, "unknown_reference", column="base", value=entry.base, where="regions/")
        elif base.get("base"):
            files.report(file, "base_of_base", column="base")
    west, south, east, north = entry.bbox
    if not (-180.0 <= west < east <= 180.0 and -90.0 <= south < north <= 90.0):
        files.report(file, "bad_box", column="bbox")
        box = None
    else:
        box = entry.bbox
        _check_inside(files, file, None, "command_centre", box, *entry.command_centre)
    _check_range(files, "utc_offset_h", entry.utc_offset_h, -12.0, 14.0)
    _check_range(files, "detour_factor", entry.detour_factor, 1.0, 5.0)
    for mode, kmh in entry.speed_kmh.items():
        _check_range(files, f"speed_kmh.{mode}", kmh, 1.0, SPEED_KMH_MAX)
    return box


def _limits(files: Files, written: Mapping[str, Any]) -> Limits:
    """The region's own limits over the defaults; each of the type its default has."""
    shapes = {field.name: field.type for field in msgspec.structs.fields(Limits)}
    values: dict[str, Any] = {}
    for name, value in written.items():
        column = f"limits.{name}"
        if name not in shapes:
            files.report("region.toml", "unknown_field", column=column, allowed=", ".join(shapes))
            continue
        try:
            values[name] = msgspec.convert(value, shapes[name])
        except msgspec.ValidationError as error:
            files.report("region.toml", "bad_value", column=column, detail=str(error))
            continue
        if values[name] is not None:
            _check_range(files, column, values[name], 0.0, LIMIT_MAX)
    limits = Limits(**values)
    if limits.move_up_wait_s > 0:
        _check_range(files, "limits.move_up_wait_s", limits.move_up_wait_s, 0.0, limits.relocate_every_s)
    return limits


def _check_range(files: Files, column: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        files.report("region.toml", "out_of_range", column=column, value=value, low=low, high=high)


def _check_inside(
    files: Files, file: str, row: int | None, column: str, box: Box | None, lon: float, lat: float
) -> None:
    if box is None:
        return
    west, south, east, north = box
    if not (west <= lon <= east and south <= lat <= north):
        files.report(file, "outside_region", row, column, lon=lon, lat=lat, bbox=list(box))


# --- tables

LON_LAT = (Column("lon", number(-180.0, 180.0)), Column("lat", number(-90.0, 90.0)))


def _capabilities(files: Files) -> dict[str, Capability]:
    columns = (Column("code", code), Column("name_id", text), Column("name_en", text))
    return {r.values["code"]: Capability(**r.values) for r in files.sheet("capabilities.csv", columns, "code")}


def _agencies(files: Files, partners: tuple[str, ...], volunteers: tuple[str, ...]) -> dict[str, Agency]:
    columns = (Column("code", code), Column("name", text), Column("phone", optional_text))
    found = {r.values["code"]: Agency(**r.values) for r in files.sheet("agencies.csv", columns, "code")}
    for column, listed, helps in (("partners", partners, "partner"), ("volunteers", volunteers, "volunteer")):
        for asked in listed:
            _check_known(files, "region.toml", None, column, asked, "agencies.csv")
            if asked in found:
                found[asked] = msgspec.structs.replace(found[asked], help=helps)
    return found


def _zones(files: Files, box: Box | None) -> dict[str, Zone]:
    columns = (
        Column("code", code),
        Column("name", text),
        Column("wing", optional_text),
        *LON_LAT,
        Column("area_km2", number(0.01, 100_000.0)),
        Column("population", whole(0, 100_000_000)),
    )
    zones = {}
    for row in files.sheet("kecamatan.csv", columns, "code"):
        zone = Zone(**row.values)
        _check_inside(files, "kecamatan.csv", row.line, "lon", box, zone.lon, zone.lat)
        zones[zone.code] = zone
    return zones


def _posts(files: Files, box: Box | None) -> dict[str, Post]:
    columns = (
        Column("code", code),
        Column("name", text),
        Column("kind", choice(*POST_KINDS)),
        *LON_LAT,
        Column("capacity", whole(1, 200)),
    )
    posts = {}
    for row in files.sheet("posts.csv", columns, "code"):
        post = Post(**row.values, street=row.values["kind"] == "street")
        _check_inside(files, "posts.csv", row.line, "lon", box, post.lon, post.lat)
        posts[post.code] = post
    return posts


def _hospitals(files: Files, box: Box | None) -> dict[str, Hospital]:
    columns = (
        Column("code", code),
        Column("name", text),
        *LON_LAT,
        Column("emergency", yes_no),
        Column("assumed", yes_no),
        Column("capabilities", codes),
    )
    hospitals = {}
    for row in files.sheet("hospitals.csv", columns, "code"):
        hospital = Hospital(**{**row.values, "capabilities": frozenset(row.values["capabilities"])})
        _check_inside(files, "hospitals.csv", row.line, "lon", box, hospital.lon, hospital.lat)
        hospitals[hospital.code] = hospital
    return hospitals


def _premises(files: Files, box: Box | None) -> dict[str, Premise]:
    columns = (
        Column("code", code),
        Column("name", text),
        *LON_LAT,
        Column("radius_m", number(5.0, PREMISE_RADIUS_M_MAX)),
        Column("note_id", text),
        Column("note_en", text),
    )
    premises = {}
    for row in files.sheet("premises.csv", columns, "code", required=False):
        premise = Premise(**row.values)
        _check_inside(files, "premises.csv", row.line, "lon", box, premise.lon, premise.lat)
        premises[premise.code] = premise
    return premises


def _kinds(files: Files) -> dict[str, Kind]:
    columns = (
        Column("code", code),
        Column("name_id", text),
        Column("name_en", text),
        Column("priority", whole(1, 3)),
        Column("agency", code),
        Column("medical", yes_no),
        Column("transport_share", number(0.0, 1.0)),
        Column("related", codes),
    )
    rows = files.sheet("kinds.csv", columns, "code")
    kinds = {row.values["code"]: Kind(**row.values) for row in rows}
    for row in rows:
        _check_known(files, "kinds.csv", row.line, "agency", row.values["agency"], "agencies.csv")
        for other in row.values["related"]:
            _check_known(files, "kinds.csv", row.line, "related", other, "kinds.csv")
    return kinds


def _unit_types(files: Files, speed_kmh: Mapping[str, float]) -> dict[str, UnitType]:
    file = "unit_types.csv"
    columns = (
        Column("code", code),
        Column("letter", choice(*"ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        Column("name_id", text),
        Column("name_en", text),
        Column("capabilities", codes),
        Column("mode", code),
        Column("turnout_day_s", number(0.0, TURNOUT_S_MAX)),
        Column("turnout_night_s", number(0.0, TURNOUT_S_MAX)),
        Column("transport", yes_no),
    )
    unit_types = {}
    for row in files.sheet(file, columns, "code"):
        able = row.values["capabilities"]
        if not able:
            files.report(file, "empty_value", row.line, "capabilities")
        for name in able:
            if not files.knows("capabilities.csv", name):
                files.report(file, "unknown_capability", row.line, "capabilities", value=name)
        mode = row.values["mode"]
        if speed_kmh and mode not in speed_kmh:
            where = "region.toml [speed_kmh]"
            files.report(file, "unknown_reference", row.line, "mode", value=mode, where=where)
        unit_type = UnitType(**{**row.values, "capabilities": frozenset(able)})
        unit_types[unit_type.code] = unit_type
    return unit_types


def _units(files: Files, unit_types: Mapping[str, UnitType], posts: Mapping[str, Post]) -> dict[str, UnitSpec]:
    file = "units.csv"
    columns = (Column("unit_id", code), Column("unit_type", code), Column("agency", code), Column("home_post", code))
    units = {}
    for row in files.sheet(file, columns, "unit_id"):
        spec = UnitSpec(**row.values)
        _check_known(files, file, row.line, "unit_type", spec.unit_type, "unit_types.csv")
        _check_known(files, file, row.line, "agency", spec.agency, "agencies.csv")
        _check_known(files, file, row.line, "home_post", spec.home_post, "posts.csv")
        if spec.unit_type in unit_types and spec.home_post in posts:
            units[spec.unit_id] = spec
    for post_code, count in Counter(unit.home_post for unit in units.values()).items():
        capacity = posts[post_code].capacity
        if count > capacity:
            files.report(file, "over_capacity", column="home_post", post=post_code, capacity=capacity, units=count)
    return units


def _check_known(files: Files, file: str, row: int | None, column: str, value: str, where: str) -> None:
    if not files.knows(where, value):
        files.report(file, "unknown_reference", row, column, value=value, where=where)


# --- demand.toml


def _demand(files: Files, zones: Mapping[str, Zone]) -> Demand | None:
    file = "demand.toml"
    data = files.toml(file, required=False)
    demand: Demand | None = None if data is None else files.entry(file, None, data, Demand)
    if demand is None:
        return None
    wings = {zone.wing for zone in zones.values()}
    for wing in demand.wing_share:
        if zones and wing not in wings:
            files.report(file, "unknown_reference", column="wing_share", value=wing, where="kecamatan.csv")
    total = sum(demand.wing_share.values())
    if demand.wing_share and abs(total - 1.0) > 0.001:
        files.report(file, "bad_shares", column="wing_share", total=round(total, 4))
    profiles: list[tuple[str, tuple[float, ...], int]] = [
        ("hours", demand.hours, 24),
        ("weekdays", demand.weekdays, 7),
    ]
    for kind, figures in demand.kinds.items():
        column = f"kinds.{kind}"
        _check_known(files, file, None, column, kind, "kinds.csv")
        if figures.yearly < 0.0:
            files.report(file, "out_of_range", column=f"{column}.yearly", value=figures.yearly, low=0, high="inf")
        profiles += [(f"{column}.hours", figures.hours, 24), (f"{column}.months", figures.months, 12)]
        for zone in figures.zones:
            _check_known(files, file, None, f"{column}.zones", zone, "kecamatan.csv")
    for column, weights, length in profiles:
        if weights and (len(weights) != length or min(weights) < 0.0 or sum(weights) <= 0.0):
            files.report(file, "bad_value", column=column, detail=f"{length} weights >= 0 expected, not all zero")
    return demand
