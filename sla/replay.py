"""The same engine, asked again: whom would it have sent, had one more unit stood there?

A decision is rebuilt from what the journal kept with it: the recommendation's candidates with their positions are the free
units of that moment, and a fresh engine with the region's own policy decides on them at that time of day. The answer counts
only when the rebuilt engine, given nothing extra, repeats the choice that was really made (`Replay.same`); otherwise
something the recommendation did not keep (an operator's override, another open incident) had its part, and the attribution falls
back on arithmetic. Move-ups are left out: they decide about the next call, not this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from dispatch import commands as co
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.model import Channel, Place, Rejected
from dispatch.policies import registry
from dispatch.policies.view import Choice, Move, Policy, View
from dispatch.region import Region, UnitSpec
from geo.roads import RoadGraph
from geo.router import Router
from sla.clocks import Case

CANDIDATES_MAX = 64  # the nearest are enough: a farther unit is never chosen before them for one place


class Extra(msgspec.Struct, frozen=True):
    """A unit that was not free, or does not exist, put at a place."""

    unit_id: str
    unit_type: str
    lon: float
    lat: float
    home_post: str


class Decision(msgspec.Struct, frozen=True):
    unit_id: str
    eta_s: float


class _AssignOnly:
    """The region's policy without its move-ups and without its own clock."""

    period_s: float | None = None

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.name = policy.name
        self.cites = policy.cites

    def assign(self, view: View) -> Sequence[Choice]:
        return self._policy.assign(view)

    def relocate(self, view: View) -> Sequence[Move]:
        return ()


class Replay:
    """Rebuilds decisions of one region; the policy is the pack's, made once."""

    def __init__(self, region: Region, router: Router) -> None:
        limits = msgspec.structs.replace(region.limits, risk_check_s=None)  # only the choice is asked for, no warnings
        self.region = msgspec.structs.replace(region, limits=limits)
        # Its own travel times: the hour and the closures of a past decision must not reach the roads that live units drive on.
        self.router = router.twin() if isinstance(router, RoadGraph) else router
        self._policy = _AssignOnly(registry.make(region.policy, region, self.router))

    def decide(self, case: Case, extra: Extra | None = None) -> Decision | None:
        """Who goes first, with `extra` among the free; None when the decision cannot be rebuilt or nobody would go."""
        evidence = case.evidence
        if evidence is None or not case.recommended or case.lon_lat is None or not evidence.candidates.lon:
            return None
        at = case.recommended[0].at
        region = self.region
        if extra is not None:
            spec = UnitSpec(extra.unit_id, extra.unit_type, "", extra.home_post)
            region = msgspec.structs.replace(region, units={**region.units, extra.unit_id: spec})
        engine = Engine(region, self.router, self._policy)
        columns = evidence.candidates
        order = sorted(range(len(columns.unit_ids)), key=lambda i: _eta(columns.eta_s[i]))[:CANDIDATES_MAX]
        for i in order:
            if columns.unit_ids[i] in region.units:
                _on_duty(engine, columns.unit_ids[i], columns.lon[i], columns.lat[i], at)
        if extra is not None:
            _on_duty(engine, extra.unit_id, extra.lon, extra.lat, at)
        command = co.SubmitReport(
            channel=Channel.CALL,
            kind=case.opened_kind,
            place=Place(lon=case.lon_lat[0], lat=case.lon_lat[1]),
            priority=case.opened_priority,
        )
        try:
            entries = engine.step(command, at)
        except Rejected:
            return None  # the pack no longer knows this kind, or the place lies outside: nothing to rebuild
        chosen = [e.event for e in entries if isinstance(e.event, ev.UnitRecommended)]
        for event in chosen:
            if event.capability == evidence.capability and event.chosen is not None:
                eta_s = event.candidates.eta_s[event.candidates.unit_ids.index(event.chosen)]
                return None if eta_s is None else Decision(event.chosen, eta_s)
        return None

    def same(self, case: Case) -> Decision | None:
        """The rebuilt decision when it is the one really made, else None."""
        found = self.decide(case)
        evidence = case.evidence
        return found if found is not None and evidence is not None and found.unit_id == evidence.chosen else None


def _eta(eta_s: float | None) -> float:
    return float("inf") if eta_s is None else eta_s


def _on_duty(engine: Engine, unit_id: str, lon: float, lat: float, at: datetime) -> None:
    engine.announce(ev.DutyStarted(unit_id=unit_id, crew=[], place=Place(lon=lon, lat=lat)), at)
