"""What a policy may see and what it may answer: the whole contract between the engine and its policies.

The engine hands a `View` to the policy in a *planning round*: after a report opened or changed an incident, after a unit
became free, declined or vanished, and every `period_s` if the policy asks for it. The view is the engine's own present
state behind a read-only face; there is nothing of the future in it, so a policy cannot peek.

Answers are plans, not steps. `assign` returns who shall serve which open place from now on: everything it does not name
stays as it is. Naming a unit that is on its way elsewhere diverts it; `replaces` stands the named unit down. The engine
first takes all named units off their old jobs, then gives out the new ones, so that two units may swap in one round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

import msgspec

from dispatch.model import Incident, Unit
from dispatch.region import Region


class Need(msgspec.Struct, frozen=True):
    """One place in a response plan that no unit has reached yet.

    `slot` is the text of the plan's requirement ("ambulans|motor"), `capabilities` its alternatives, best first.
    `coming` is the unit on its way to fill this place, None while the place is open.
    """

    incident_id: str
    slot: str
    capabilities: tuple[str, ...]
    priority: int
    lon: float
    lat: float
    rang_at: datetime
    deadline_at: datetime
    first: bool = True
    """Its unit counts as a capable first response; the incident's clock is stopped by any such place."""
    clock_runs: bool = True
    """False once a capable unit is at the scene: what is still missing is help, no longer the 7 minutes."""
    coming: str | None = None
    coming_since: datetime | None = None
    """When the coming unit was assigned."""


class Arrival(msgspec.Struct, frozen=True):
    """How soon a unit could stand at a need: turnout by its state plus travel by its vehicle's mode, seconds from now."""

    unit_id: str
    eta_s: float
    turnout_s: float = 0.0
    by_road: bool = True
    """False: no road leads there, the time is a straight-line estimate (an island, a district cut off by water)."""


class Choice(msgspec.Struct, frozen=True):
    """`unit_id` shall fill this place of the incident's plan from now on."""

    incident_id: str
    slot: str
    unit_id: str
    eta_s: float
    replaces: str | None = None
    """The unit that was coming for this place and is stood down (or sent elsewhere by another choice)."""
    why: str = ""
    """Code from `WHYS`; the sentence in both languages is the screens' business."""
    candidates: tuple[Arrival, ...] = ()
    """Units looked at, soonest first, when the policy ranked them; may be empty."""


class Move(msgspec.Struct, frozen=True):
    """A free unit shall stand at another post."""

    unit_id: str
    post: str
    gain: float
    """Expected share of demand newly answered in time, 0..1."""


WHYS = (
    "soonest",  # first to arrive among the free
    "diverted_up",  # was on its way to something less urgent
    "swap",  # two jobs are both better served this way round
    "takes_over",  # became free nearer than the unit on its way
    "best_together",  # part of the assignment that is best over all waiting incidents
    "coverage",  # a little slower, but leaves the city better covered
)


class View(Protocol):
    """The present, read-only. Lists come in a fixed order (priority, first ring, incident id, slot), ids break ties."""

    @property
    def at(self) -> datetime: ...

    @property
    def region(self) -> Region: ...

    @property
    def units(self) -> Mapping[str, Unit]:
        """Every unit; policies read, never write."""

    @property
    def incidents(self) -> Mapping[str, Incident]: ...

    @property
    def somebody_freed(self) -> bool:
        """A unit has become free at this very instant."""

    @property
    def stirred_agencies(self) -> Set[str]:
        """For `relocate`: whose units have changed since the last time. Looking at others would repeat the last answer."""

    def open_needs(self) -> Sequence[Need]:
        """Places nobody is coming for, only of incidents that may be sent to now (confirmed, not held) and that a free
        unit, or for priority 1 one that may be diverted, could fill by its capability; the most urgent when many wait.
        """

    def coming_needs(self) -> Sequence[Need]:
        """Places whose unit is alerted, acknowledged or en route and not yet at the scene; `coming` is set."""

    def free_units(self) -> Sequence[str]:
        """Ids of the units that may be sent: on duty, available. Sorted."""

    def excluded(self, need: Need) -> frozenset[str]:
        """Units that must not get this need: declined it, did not answer it, already serve this incident."""

    def arrivals(self, need: Need, unit_ids: Sequence[str] | None = None, k: int | None = None) -> Sequence[Arrival]:
        """Who could come how soon, ascending by (eta_s, unit_id), exact by road.

        Of `unit_ids` (default: the free ones) those that have one of the need's capabilities, are not excluded and
        can get there at all; only the first k if k is given. Units on their way elsewhere may be asked for as well.
        """

    def busy_stage(self, unit_id: str) -> str | None:
        """None if free; else "coming", "scene", "transport", "hospital": how far the unit is with its job."""

    def incident_of(self, unit_id: str) -> Incident | None:
        """The incident a unit serves now, None if it is free."""

    def hospital_of(self, unit_id: str) -> str | None:
        """Code of the hospital a unit is bound for or at, None otherwise."""

    def moves_left(self, unit_id: str) -> int:
        """How many more move-ups this crew may be asked for on this duty."""


class Policy(Protocol):
    """A way to run a city. Deterministic: equal views give equal answers."""

    @property
    def name(self) -> str: ...

    @property
    def cites(self) -> str:
        """Where the idea is published, or "own"."""

    @property
    def period_s(self) -> float | None:
        """Wants a planning round also this often, None = only on changes."""

    def assign(self, view: View) -> Sequence[Choice]: ...

    def relocate(self, view: View) -> Sequence[Move]:
        """Asked after `assign` of the same round has been applied."""
