"""Send whoever is there first: the rule of most control rooms and the yardstick for everything else.

With `redispatch`, a priority-1 call may also take a unit that is on its way to something less urgent (JEMSS's rule;
van den Berg & van Essen, "Comparison of static ambulance location models", 2019, use the same baseline).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dispatch.policies.view import Arrival, Choice, Move, Need, View

CANDIDATES_KEPT = 5
"""Ranked units searched by road and kept with a choice. Each further one widens the search; a scarce capability's fifth unit is
at the other end of the city."""


class Closest:
    """Open needs in order of (priority, first ring); each gets the soonest free capable unit."""

    cites = (
        "common practice; baseline of Jagtenberg, Bhulai & van der Mei (2015), Operations Research for Health Care 4"
    )
    period_s: float | None = None

    def __init__(self, redispatch: bool = False) -> None:
        self.redispatch = redispatch
        self.name = "closest+redispatch" if redispatch else "closest"

    def assign(self, view: View) -> Sequence[Choice]:
        needs = view.open_needs()
        if not needs:
            return ()
        taken: set[str] = set()
        choices: list[Choice] = []
        bumped: list[Need] = []
        for need in needs:
            choice = self._choose(view, need, taken, bumped)
            if choice is not None:
                taken.add(choice.unit_id)
                choices.append(choice)
        # A job that lost its unit is offered to the rest at once, in the same order of urgency.
        while bumped:
            bumped.sort(key=lambda need: (need.priority, need.rang_at, need.incident_id, need.slot))
            choice = self._choose(view, bumped.pop(0), taken, bumped)
            if choice is not None:
                taken.add(choice.unit_id)
                choices.append(choice)
        return choices

    def _choose(self, view: View, need: Need, taken: set[str], bumped: list[Need]) -> Choice | None:
        pool: Sequence[str] | None = None
        by_unit: dict[str, Need] = {}
        if self.redispatch and need.priority == 1:
            by_unit = {
                other.coming: other
                for other in view.coming_needs()
                if other.priority > 1 and other.coming is not None and other.coming not in taken
            }
        if by_unit:
            pool = sorted({*view.free_units(), *by_unit})
        arrivals = view.arrivals(need, pool, k=CANDIDATES_KEPT + len(taken))
        arrivals = [a for a in arrivals if a.unit_id not in taken]
        if not arrivals:
            return None
        arrival = self._pick(view, need, arrivals)
        left = by_unit.get(arrival.unit_id)
        if left is not None:
            bumped.append(msgspec.structs.replace(left, coming=None, coming_since=None))
        if left is not None:
            why = "diverted_up"
        else:
            why = "soonest" if arrival is arrivals[0] else "coverage"
        return Choice(
            incident_id=need.incident_id,
            slot=need.slot,
            unit_id=arrival.unit_id,
            eta_s=arrival.eta_s,
            why=why,
            candidates=tuple(arrivals[:CANDIDATES_KEPT]),
        )

    def _pick(self, view: View, need: Need, arrivals: Sequence[Arrival]) -> Arrival:
        """Which of the units that could come, soonest first."""
        return arrivals[0]

    def relocate(self, view: View) -> Sequence[Move]:
        return ()
