"""Closures and slow streets: commands in, events out, and the router told. Pure but for the router's own travel times.

A straight-line router knows no streets, so restrictions are kept and shown but change no travel time; readers see
`arcs` = 0 and the screen says so.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dispatch import commands as co
from dispatch import events as ev
from dispatch.decide_reports import check_place
from dispatch.model import Actor, Rejected, Restriction
from geo.learned import LearnedSpeeds
from geo.roads import RoadGraph
from geo.router import Router
from geo.traffic import CLOSED, Traffic
from geo.traffic import Restriction as Stretch

if TYPE_CHECKING:
    from dispatch.engine import Engine

RESTRICTIONS_MAX = 500
"""In force at once; a flooded night in Surabaya has some 240 known points (DSDABM, 2024)."""


class Conditions:
    """The live road conditions behind one engine."""

    def __init__(self, router: Router) -> None:
        self.traffic = Traffic(router) if isinstance(router, RoadGraph) else None
        if self.traffic is not None:
            self.traffic.apply()  # an earlier engine in this process may have left closures on the shared graph

    def set_hour(self, hour: int) -> None:
        """Travel times of this local hour, for regions that ask for it (`limits.hourly_traffic`)."""
        if self.traffic is not None and self.traffic.hour != hour:
            self.traffic.set_hour(hour)

    def learn(self, learned: LearnedSpeeds) -> None:
        """The fleet's own speeds, within bounds of the prior. The hour in force changes only if it was learned about."""
        if self.traffic is not None:
            self.traffic.set_table(learned.table(self.traffic.graph))

    def prepare(self, hour: int) -> None:
        """Ahead of the change of the hour, in another thread: `set_hour` then costs the writer nothing."""
        if self.traffic is not None and self.traffic.hour != hour:
            self.traffic.prepare(hour)

    def arcs(self, c: co.RestrictRoad | Restriction) -> tuple[int, ...]:
        """Stretches of road a restriction touches; () without a road network."""
        if self.traffic is None:
            return ()
        place = c.place
        if c.street:
            found = self.traffic.arcs_of_street(c.street, place.lon, place.lat, c.radius_m)
        else:
            found = self.traffic.arcs_within(place.lon, place.lat, c.radius_m)
        return tuple(int(a) for a in found)

    def put(self, r: Restriction) -> None:
        arcs = self.arcs(r)
        if self.traffic is not None and arcs:
            factor = CLOSED if r.factor is None else r.factor
            self.traffic.restrict(Stretch(r.restriction_id, arcs, factor, reason=r.reason))

    def lift(self, restriction_id: str) -> None:
        if self.traffic is not None:
            self.traffic.lift(restriction_id)


def restrict_road(engine: Engine, c: co.RestrictRoad, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    check_place(engine, c.place)
    if c.until is not None and c.until <= at:
        raise Rejected("time_in_past", "until")
    if len(engine.state.restrictions) >= RESTRICTIONS_MAX:
        raise Rejected("too_many_restrictions", "place", most=RESTRICTIONS_MAX)
    arcs = engine.conditions.arcs(c)
    if not arcs and isinstance(engine.router, RoadGraph):
        raise Rejected("no_road_there", "street" if c.street else "place")
    return [
        ev.RoadRestricted(
            restriction_id=f"J{engine.state.restriction_count + 1:04d}",
            place=c.place,
            radius_m=c.radius_m,
            reason=c.reason,
            street=c.street,
            factor=c.factor,
            until=c.until,
            arcs=len(arcs),
        )
    ]


def lift_restriction(engine: Engine, c: co.LiftRestriction, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    if c.restriction_id not in engine.state.restrictions:
        raise Rejected("unknown_restriction", "restriction_id")
    return [ev.RestrictionLifted(restriction_id=c.restriction_id)]


def learn_speeds(engine: Engine, c: co.LearnSpeeds, at: datetime, actor: Actor) -> list[ev.AnyEvent]:
    if not c.drives:
        return []
    return [ev.SpeedsLearned(hour=c.hour, steps=c.steps, drives=c.drives)]


HANDLERS = {co.RestrictRoad: restrict_road, co.LiftRestriction: lift_restriction, co.LearnSpeeds: learn_speeds}
