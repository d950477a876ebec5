"""What would still help an emergency that is about to be late, and how many seconds each would gain.

    faster_unit   a free unit of the city's own that would be there sooner
    diversion     a unit on its way to something less urgent
    mutual_aid    a free unit of a partner who is asked, not ordered (police, Red Cross); or, by telephone, an agency the plan
                  names whose units this system does not see: gain unknown
    volunteer     the same of volunteers
Pure, over the engine's present state.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dispatch import prediction
from dispatch.events import Remedy
from dispatch.model import Incident
from dispatch.planning import EngineView
from dispatch.policies.view import Arrival, Need

if TYPE_CHECKING:
    from dispatch.engine import Engine

KIND_OF_HELP = {"city": "faster_unit", "partner": "mutual_aid", "volunteer": "volunteer"}
"""By `Agency.help`."""
MIN_GAIN_S = 10.0
"""What gains less is not worth a radio call."""


def remedies(
    engine: Engine, incident: Incident, at: datetime, chance: float, predicted_at: datetime | None
) -> list[Remedy]:  # fmt: skip
    """The best of each kind, the one most likely to be there in time first; a telephone call last.

    `gain_s` None: nobody was coming, or nobody knows where that agency's units are.
    """
    view = EngineView(engine, at)
    left_s = (engine.deadline(incident) - at).total_seconds()
    coming_s = None if predicted_at is None else (predicted_at - at).total_seconds()
    found: dict[str, Remedy] = {}
    for slot, first in engine.first_flags(incident).items():
        if first:
            need = view.need(incident, slot, True, None, None)
            for arrival, leaves in _who(engine, view, need, incident):
                gain_s = None if coming_s is None else round(coming_s - arrival.eta_s, 1)
                if gain_s is not None and gain_s < MIN_GAIN_S:
                    break  # the rest comes later still
                agency = engine.state.units[arrival.unit_id].agency
                kind = "diversion" if leaves is not None else _kind(engine, agency)
                spread_s = engine.spread_s(arrival.eta_s - arrival.turnout_s, at)
                alone = prediction.chance_within(left_s, arrival.eta_s, spread_s)
                together = round(1.0 - (1.0 - chance) * (1.0 - alone), 4)
                if kind not in found or found[kind].chance < together:
                    found[kind] = Remedy(kind, arrival.unit_id, agency, leaves, gain_s, together)
    ranked = sorted(found.values(), key=lambda r: (-r.chance, -(r.gain_s or 0.0), r.kind))
    return ranked + _by_telephone(engine, incident, chance, {r.agency or "" for r in ranked})


def _who(
    engine: Engine, view: EngineView, need: Need, incident: Incident
) -> list[tuple[Arrival, str | None]]:  # fmt: skip
    """(arrival, the incident it would leave) of free units and of those coming to something less urgent, soonest first."""
    found: list[tuple[Arrival, str | None]] = [(arrival, None) for arrival in view.arrivals(need)]
    busy = {
        other.coming: other.incident_id
        for other in view.coming_needs()
        if other.coming is not None and other.priority > incident.priority
    }
    if busy:
        found += [(arrival, busy[arrival.unit_id]) for arrival in view.arrivals(need, sorted(busy))]
        found.sort(key=lambda pair: (pair[0].eta_s, pair[0].unit_id))
    return found


def _kind(engine: Engine, agency: str) -> str:
    known = engine.region.agencies.get(agency)
    return KIND_OF_HELP["city" if known is None else known.help]


def _by_telephone(engine: Engine, incident: Incident, chance: float, named: set[str]) -> list[Remedy]:
    """Agencies the plan may ask that have no unit in this system: somebody has to ring them up."""
    try:
        plan = engine.plan(incident.plan)
    except KeyError:  # the pack changed while the incident was open
        return []
    seen = {unit.agency for unit in engine.state.units.values()} | named
    return [
        Remedy(_kind(engine, agency), None, agency, None, None, chance)
        for agency in plan.optional_agencies
        if agency not in seen and _kind(engine, agency) != KIND_OF_HELP["city"]
    ]
