"""Reachable in seven minutes, right now: which kecamatan a free unit could reach in time if somebody rang this moment.

Stands beside the share within 420 s so that a missing post is told apart from bad dispatch: an area that is not reachable
needs a unit or a post, one that is reachable and yet late needs better work. Pure. Coarse on purpose: one point a kecamatan
(its centre); the map layer shows the same street by street.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from dispatch.model import Position, Unit, UnitState
from dispatch.prediction import chance_within, spread_s
from dispatch.region import Region
from geo.router import Rejected, Router
from sla.definition import TARGET_S, VERSION
from sla.groups import local
from sla.outcome import PHASE_BUDGET_S

BEFORE_TURNOUT = ("answer", "entry", "decision", "alert")
NIGHT = (22, 6)  # local hours in which crews sleep; the engine's own
ROLLING_TURNOUT_S = 5.0  # a crew already rolling only turns the wheel; the engine's own


class ZoneReach(msgspec.Struct, frozen=True):
    """One kecamatan now. Seconds from first ring; None when nobody free could get there at all."""

    code: str
    name: str
    population: int
    unit_id: str | None
    response_s: float | None
    chance: float
    """P(at scene within 420 s of the ring), by that unit alone, 0..1."""
    reachable: bool


class ReachNow(msgspec.Struct, frozen=True):
    definition: str
    at: datetime
    capabilities: list[str]
    overhead_s: float
    """First ring to the order on the crew's device."""
    overhead_measured: bool
    """From the last 30 days' medians; False: from the budgets."""
    population_share: float | None
    """Of the people, by the centre of their kecamatan."""
    units_free: int
    zones: list[ZoneReach]
    """Out of reach first."""


def first_capabilities(region: Region) -> frozenset[str]:
    """What may arrive first at a medical priority-1 emergency by the pack's plans: most of what rings."""
    medical = {kind.code for kind in region.kinds.values() if kind.medical}
    return frozenset(
        capability
        for plan in region.plans
        if 1 in plan.priorities and plan.kinds & medical
        for slot in plan.slots
        if slot.first
        for capability in slot.capabilities
    )


def overhead(medians_s: Mapping[str, float | None]) -> tuple[float, bool]:
    """Seconds from ring to the order on the device, from measured phase medians where all are known, else from budgets."""
    known = [medians_s.get(name) for name in BEFORE_TURNOUT]
    if all(value is not None for value in known):
        return sum(value for value in known if value is not None), True
    return sum(PHASE_BUDGET_S[name] for name in BEFORE_TURNOUT), False


def reach_now(
    region: Region,
    router: Router,
    units: Mapping[str, Unit],
    positions: Mapping[str, Position],
    now: datetime,
    medians_s: Mapping[str, float | None],
    capabilities: frozenset[str] | None = None,
) -> ReachNow:
    """Every kecamatan against the free units as they stand. `medians_s`: recent median of each phase by name."""
    wanted = first_capabilities(region) if capabilities is None else capabilities
    overhead_s, measured = overhead(medians_s)
    hour = local(now, region.utc_offset_h).hour
    fleet = router.fleet()
    by_class: dict[tuple[str, float], list[str]] = {}
    for unit in units.values():
        position = positions.get(unit.unit_id)
        if unit.state is not UnitState.AVAILABLE or position is None or wanted.isdisjoint(unit.capabilities):
            continue
        try:
            fleet.place(unit.unit_id, position.lon, position.lat)
        except Rejected:
            continue  # a fix outside the world; the console flags it
        kind = region.unit_types[unit.unit_type]
        turnout_s = kind.turnout_night_s if hour >= NIGHT[0] or hour < NIGHT[1] else kind.turnout_day_s
        if unit.moving_up_since is not None:
            turnout_s = min(turnout_s, ROLLING_TURNOUT_S)
        by_class.setdefault((unit.mode, turnout_s), []).append(unit.unit_id)
    groups = [(mode, turnout_s, frozenset(ids)) for (mode, turnout_s), ids in sorted(by_class.items())]
    zones = []
    for zone in region.zones.values():
        best: tuple[float, str, float] | None = None
        for mode, turnout_s, among in groups:
            for unit_id, travel_s in fleet.nearest(zone.lon, zone.lat, 1, mode, among):
                candidate = (overhead_s + turnout_s + travel_s, unit_id, travel_s)
                best = candidate if best is None else min(best, candidate)
        if best is None:
            zones.append(ZoneReach(zone.code, zone.name, zone.population, None, None, 0.0, False))
            continue
        response_s, unit_id, travel_s = best
        chance = chance_within(TARGET_S - overhead_s, response_s - overhead_s, spread_s(travel_s))
        zones.append(
            ZoneReach(
                zone.code, zone.name, zone.population, unit_id, round(response_s, 1), chance, response_s <= TARGET_S
            )
        )
    zones.sort(key=lambda z: (z.reachable, -(z.response_s if z.response_s is not None else float("inf")), z.code))
    people = sum(z.population for z in zones)
    return ReachNow(
        VERSION,
        now,
        sorted(wanted),
        round(overhead_s, 1),
        measured,
        sum(z.population for z in zones if z.reachable) / people if people else None,
        sum(len(ids) for _, _, ids in groups),
        zones,
    )
