"""One assignment for everything: who serves which open or still coming place, solved together at every change.

At each call, each freed unit and every `period_s`, all free and coming units are matched to all places not yet reached by
the Hungarian method (Kuhn, Naval Research Logistics Quarterly 2, 1955; here scipy's Jonker-Volgenant solver). The cost
of a pair is weighted response time plus a price for being late; leaving a place open has a price too, and it grows with
the waiting, because a constant one would let a far low-priority call wait for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.optimize import linear_sum_assignment

from dispatch.policies.view import Arrival, Choice, Need, View
from geo.router import FloatArray

CANDIDATES_KEPT = 8
IMPOSSIBLE = 1e9
TIE_S = 1.0
UNSERVED_P1 = 1e5
"""Leaving a priority-1 place open while any unit could come is never an option."""


class AssignSettings(msgspec.Struct, frozen=True):
    """Prices in seconds of priority-1 response; one entry a priority where three are given."""

    weight: tuple[float, float, float] = (1.0, 0.3, 0.25)
    late_after_s: tuple[float, float, float] = (420.0, 420.0, 1200.0)
    late_price: tuple[float, float, float] = (450.0, 200.0, 200.0)
    late_width_s: float = 0.0
    """Half width of the ramp from in time to late; 0 = a step."""
    second_after_s: float = 420.0
    second_price: float = 50.0
    """A further, smaller step for priority 1 at the published promise."""
    switch_price: float = 20.0
    """Crews are not tossed about for less."""
    wait_base: tuple[float, float, float] = (UNSERVED_P1, 250.0, 250.0)
    wait_slope: tuple[float, float, float] = (0.0, 0.8, 0.5)
    """Price of leaving a place open now: base + slope x seconds waited; a slope above the weight, so that it always ends."""
    lesser_price: float = 30.0
    """For each step down the list of a place's capabilities."""
    further_weight: float = 0.3
    """Weight of places after the clock has been stopped or that never stop it."""


class BestTogether:
    def __init__(self, settings: AssignSettings) -> None:
        self.settings = settings

    def assign(self, view: View) -> Sequence[Choice]:
        open_needs = view.open_needs()
        if not open_needs and not view.somebody_freed:
            return ()  # nobody waits and nobody has just become free: the answer would be the last one
        coming = list(view.coming_needs())
        needs = [*open_needs, *coming]
        if not needs:
            return ()
        on_way = sorted({need.coming for need in coming if need.coming is not None})
        pairs = [self._arrivals(view, need, on_way, len(needs)) for need in needs]
        fresh = {n.coming: n.priority for n in coming if n.coming is not None and n.coming_since == view.at}
        pairs = [
            [a for a in arrivals if _may_change(need, a.unit_id, fresh)]
            for need, arrivals in zip(needs, pairs, strict=True)
        ]
        columns = {u: j for j, u in enumerate(sorted({a.unit_id for arrivals in pairs for a in arrivals}))}
        n, m = len(needs), len(columns)
        cost = np.full((n, m + n), IMPOSSIBLE)
        for i, need in enumerate(needs):
            waited_s = (view.at - need.rang_at).total_seconds()
            cost[i, [columns[a.unit_id] for a in pairs[i]]] = self._prices(view, need, pairs[i], waited_s)
            cost[i, m + i] = self._wait_price(need, waited_s)
            if need.coming is not None and need.coming in columns:
                # Standing a unit down for nothing is never better than letting it arrive; and losing it costs a little
                # in any case, so that two equal plans cannot follow each other for ever.
                cost[i, m + i] = max(cost[i, m + i], cost[i, columns[need.coming]]) + TIE_S
        rows, chosen = linear_sum_assignment(cost)
        return self._choices(needs, pairs, cost, columns, rows.tolist(), chosen.tolist())

    def _arrivals(self, view: View, need: Need, on_way: list[str], n: int) -> list[Arrival]:
        """The n soonest free units suffice for an optimal matching of n places; all coming ones may be diverted."""
        found = list(view.arrivals(need, k=max(n, CANDIDATES_KEPT)))
        if on_way:
            found += view.arrivals(need, on_way)
            if need.coming is not None and all(a.unit_id != need.coming for a in found):
                found += view.arrivals(need, [need.coming])
            found.sort(key=lambda a: (a.eta_s, a.unit_id))
        return found

    def _prices(self, view: View, need: Need, arrivals: Sequence[Arrival], waited_s: float) -> FloatArray:
        """What each of these arrivals at the place would cost, same order."""
        s = self.settings
        p = need.priority - 1
        response_s = np.array([a.eta_s for a in arrivals]) + waited_s
        counts = need.first and need.clock_runs
        price: FloatArray = (s.weight[p] if counts else min(s.weight[p], s.further_weight)) * response_s
        if counts:
            price += s.late_price[p] * _step(response_s, s.late_after_s[p], s.late_width_s)
            if p == 0:
                price += s.second_price * _step(response_s, s.second_after_s, s.late_width_s)
        if need.coming is not None:
            price += s.switch_price * np.array([a.unit_id != need.coming for a in arrivals])
        if len(need.capabilities) > 1:
            ranks = [_rank(view.units[a.unit_id].capabilities, need.capabilities) for a in arrivals]
            price += s.lesser_price * np.array(ranks)
        return price

    def _wait_price(self, need: Need, waited_s: float) -> float:
        s, p = self.settings, need.priority - 1
        return s.wait_base[p] + s.wait_slope[p] * waited_s

    def _choices(
        self, needs: list[Need], pairs: list[list[Arrival]], cost: np.ndarray, columns: dict[str, int],
        rows: list[int], chosen: list[int],
    ) -> list[Choice]:  # fmt: skip
        m = len(columns)
        ids = list(columns)
        by_unit = {need.coming: need for need in needs if need.coming is not None}
        choices = []
        for i, j in zip(rows, chosen, strict=True):
            need = needs[i]
            if j >= m or cost[i, j] >= IMPOSSIBLE or ids[j] == need.coming:
                continue
            unit_id = ids[j]
            arrival = next(a for a in pairs[i] if a.unit_id == unit_id)
            choices.append(
                Choice(
                    incident_id=need.incident_id,
                    slot=need.slot,
                    unit_id=unit_id,
                    eta_s=arrival.eta_s,
                    replaces=need.coming,
                    why=_why(need, unit_id, by_unit, pairs[i]),
                    candidates=tuple(pairs[i][:CANDIDATES_KEPT]),
                )
            )
        return choices


def _may_change(need: Need, unit_id: str, fresh: dict[str, int]) -> bool:
    """What this very instant has decided stands, but for an open place that is more urgent.

    Without this a plan might never come to rest: being sent can itself change a unit's predicted time.
    """
    if need.coming == unit_id:
        return True
    if need.coming in fresh:
        return False
    return unit_id not in fresh or (need.coming is None and need.priority < fresh[unit_id])


def _why(need: Need, unit_id: str, by_unit: dict[str, Need], arrivals: list[Arrival]) -> str:
    left = by_unit.get(unit_id)
    if left is not None:
        return "diverted_up" if need.priority < left.priority and need.coming is None else "swap"
    if need.coming is not None:
        return "takes_over"
    return "soonest" if arrivals[0].unit_id == unit_id else "best_together"


def _rank(able: frozenset[str], wanted: Sequence[str]) -> int:
    """How far down the list of a place's capabilities the unit's best one stands; 0 = the preferred one."""
    return next(r for r, c in enumerate(wanted) if c in able)


def _step(response_s: FloatArray, after_s: float, width_s: float) -> FloatArray:
    """0 in time, 1 late, with a linear ramp of half width `width_s`."""
    if width_s <= 0.0:
        return (response_s > after_s).astype(np.float64)
    ramp: FloatArray = np.clip((response_s - after_s + width_s) / (2.0 * width_s), 0.0, 1.0)
    return ramp
