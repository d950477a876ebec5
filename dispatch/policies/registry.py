"""Policies by name: what a pack's `policy = "..."` and the simulator's `--policy` mean."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dispatch.model import Rejected
from dispatch.policies.assign import AssignSettings, BestTogether
from dispatch.policies.closest import Closest
from dispatch.policies.coverage import Coverage, DemandPoints
from dispatch.policies.dmexclp import Dmexclp
from dispatch.policies.relocate import MoveUp, MoveUpSettings
from dispatch.policies.view import Choice, Move, Policy, View
from dispatch.region import Region
from geo.router import Router

NAMES = ("closest", "closest+redispatch", "dmexclp", "dmexclp+moveup", "siaga")

TOGETHER_MAX = 48
"""Places solved together. A city at work has a dozen; in a surge every second counts more than the last swap, and the
nearest free unit goes."""
CALL_HANDLING_S = 60.0
"""Ring to alert where a region does not know better: NFPA 1225 (2022), 90 % processed within 60 s."""


class Terms(msgspec.Struct, frozen=True):
    """What a policy must know of a region that its state does not tell."""

    target_s: tuple[float, float, float]
    """First ring to at scene, by priority; what counts as late."""
    overhead_s: float = CALL_HANDLING_S
    """First ring to wheels rolling: call handling and turnout."""
    promise_s: float = 420.0

    @classmethod
    def of(cls, region: Region) -> Terms:
        """The pack's target for priority 1 and 2; a priority 3 may wait three times as long."""
        target_s = region.limits.target_s
        turnouts = sorted(t.turnout_day_s for t in (region.unit_types[u.unit_type] for u in region.units.values()))
        turnout_s = turnouts[len(turnouts) // 2] if turnouts else 0.0
        return cls((target_s, target_s, 3.0 * target_s), CALL_HANDLING_S + turnout_s, target_s)


class Siaga:
    """The best we have: one assignment for everything, and move-up of all free units by expected soft coverage."""

    name = "siaga"
    cites = "own combination; Kuhn (1955), Daskin (1983), Jagtenberg et al. (2015); see docs/dispatch-quality.md"

    def __init__(self, assigner: BestTogether, move_up: MoveUp, period_s: float | None = 120.0) -> None:
        self._assigner = assigner
        self._surge = Closest(redispatch=True)
        self._move_up = move_up
        self.period_s = period_s

    def assign(self, view: View) -> Sequence[Choice]:
        if (n := len(view.open_needs())) and n + len(view.coming_needs()) > TOGETHER_MAX:
            return self._surge.assign(view)
        return self._assigner.assign(view)

    def relocate(self, view: View) -> Sequence[Move]:
        return self._move_up.relocate(view)


def make(
    name: str, region: Region, router: Router, demand: DemandPoints | None = None, terms: Terms | None = None
) -> Policy:
    """The policy of that name for this region. Raises Rejected("unknown_policy", name)."""
    if name in ("closest", "closest+redispatch"):
        return Closest(redispatch=name == "closest+redispatch")
    if name not in NAMES:
        raise Rejected("unknown_policy", "policy", name=name, known=list(NAMES))
    terms = terms if terms is not None else Terms.of(region)
    points = demand if demand is not None else DemandPoints.of_region(region)
    coverage = Coverage(region, router, points, within_s=terms.target_s[0] - terms.overhead_s)
    if name in ("dmexclp", "dmexclp+moveup"):
        return Dmexclp(coverage, move_up=name == "dmexclp+moveup")
    settings = AssignSettings(late_after_s=terms.target_s, second_after_s=terms.promise_s)
    return Siaga(BestTogether(settings), MoveUp(coverage, MoveUpSettings()))
