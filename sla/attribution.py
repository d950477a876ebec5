"""Why was this one late? Counterfactuals, one at a time: what would have happened had this single thing been as it should.

Pure and reproducible: everything comes from the journal, the region pack and the router, so the same journal gives the same
sentence years later. Each counterfactual changes one thing and leaves the rest as it was:

| code | had ... | aim and its source |
| --- | --- | --- |
| answer | the call been answered in time | 10 s, NFPA 1225 (2022) |
| entry | the report been entered in time | 45 s of NFPA 1225's 60 s of processing |
| decision | a unit been chosen in time | 10 s of the same 60 s |
| no_unit | a unit been free when the incident opened | at once |
| reassigned | the first unit asked come (none declined, silent or withdrawn) | at once |
| alert | the order reached the crew at once | 5 s of the same 60 s |
| turnout | the crew rolled in time | its vehicle's turnout in the pack, else 60 s, NFPA 1710 |
| choice | the quickest free unit been sent | as the recommendation priced it |
| unit_free | the best-placed unit not been on another job | its home post, by road |
| post | one more unit stood at the best post | by road from the pack's posts |
| road | the drive taken as long as predicted | the prediction at assignment |
| signal | the arrival been received when the device stamped it | the device's own clock |

The two that need a unit which was not there are asked of the engine itself (`replay.py`): the decision is rebuilt with the free
units of that moment and repeated with one unit more. Where it cannot be rebuilt, turnout plus road time stand in.

Savings of different steps add; those of the four that replace the drive do not, so a set of remedies takes the best of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from dispatch.region import Post, Region, UnitSpec
from geo.router import Fleet, Router
from sla.clocks import Case, Leg
from sla.definition import TARGET_S, VERSION, Verdict
from sla.groups import UNKNOWN, local
from sla.outcome import PHASE_BUDGET_S, phases
from sla.replay import Extra, Replay
from sla.sentences import no_arrival_sentences, whole_sentences
from sla.timeline import Timeline

TURNOUT_S = 60.0  # NFPA 1710, where the pack does not know the vehicle
ONE_MORE = "tambahan"
"""Id of the unit that does not exist, in a replay."""
NIGHT = (22, 6)  # local hours in which crews sleep; the engine's own
MIN_SAVING_S = 1.0  # less is noise of stamping
DRIVES = frozenset({"choice", "unit_free", "post", "road"})
"""Alternatives for the same seconds of driving: of these only the best counts in a set."""
RESOURCES = frozenset({"unit_free", "post", "road"})
"""Cost money or cannot be commanded: named as decisive only when doing the ordinary things in time was not enough."""


class Counterfactual(msgspec.Struct, frozen=True):
    """One thing set right. `saved_s` > 0; `would_be_s` is the response time with it alone."""

    code: str
    saved_s: float
    would_be_s: float
    enough: bool
    took_s: float
    aim_s: float
    subject: str | None = None
    """The unit or post meant, where there is one."""
    place: str | None = None
    """The post's name; for `choice` the recommendation's verdict on the quicker unit."""


class Explanation(msgspec.Struct, frozen=True):
    """Why one response was late, in figures and one sentence each in Indonesian and English."""

    incident_id: str
    definition: str
    why: str
    kind: str
    zone: str | None
    hour: int | None
    """Local hour of the first ring."""
    post: str | None
    """Post from which a unit would have been there first: whose area this is."""
    unit: str | None
    response_s: float | None
    late_by_s: float | None
    counterfactuals: list[Counterfactual]
    """Largest saving first."""
    decisive: str | None
    """The one that alone would have made it: the largest saving among the room's and crew's own steps, and only when none of
    those is enough, among units, posts and roads. None when none would; without an arrival, what is missing."""
    together: list[str]
    """Smallest set, greedily, that would have made it when no single one does; empty when not even all would."""
    approximate: bool
    """Roads are not a real network: read seconds of driving with care."""
    sentence_id: str
    sentence_en: str


class CauseSum(msgspec.Struct):
    code: str
    decisive: int = 0
    """Late responses this alone would have saved, and more than anything else."""
    would_save: int = 0
    """Late responses this alone would have saved."""
    present: int = 0
    seconds: float = 0.0


class LateSummary(msgspec.Struct):
    """Late responses added up. `by_*`: number of late responses and of each decisive cause."""

    definition: str
    late: int
    explained: int
    """Of these, a single thing would have made it."""
    causes: list[CauseSum]
    by_post: dict[str, dict[str, int]]
    by_hour: dict[str, dict[str, int]]
    by_zone: dict[str, dict[str, int]]


class Attribution:
    """Explains late responses of one region. Without region or router the questions about posts stay unanswered."""

    def __init__(self, region: Region | None = None, router: Router | None = None, utc_offset_h: float = 7.0) -> None:
        self.region = region
        self.router = router
        self.utc_offset_h = region.utc_offset_h if region is not None else utc_offset_h
        self._known: dict[str, tuple[Case, int, bool, Explanation]] = {}
        self._posts: Fleet | None = None
        self._replay: Replay | None = None
        if region is not None and router is not None:
            self._posts = router.fleet()
            for post in region.posts.values():
                self._posts.place(post.code, post.lon, post.lat)
            self._replay = Replay(region, router)

    def explain(
        self, case: Case, timeline: Timeline, now: datetime | None = None, deep: bool = True
    ) -> Explanation | None:
        """The explanation of a late response; None when it was not late.

        `deep` asks the engine again (some 20 ms); without it turnout plus road time to the nearest post stand in (0.3 ms), unless
        the deep answer is already known. A server deepens its explanations one by one as incidents close (`SlaRoom`).
        """
        verdict, why = timeline.verdict(case, now)
        if verdict is not Verdict.LATE:
            return None
        known = self._known.get(case.incident_id)
        if known is not None and known[0] is case and known[1] == case.version and (known[2] or not deep):
            return known[3]  # nothing has been recorded since: a late response stays explained
        made = self._explain(case, timeline, str(why), deep)
        self._known[case.incident_id] = (case, case.version, deep, made)
        return made

    def _explain(self, case: Case, timeline: Timeline, why: str, deep: bool) -> Explanation:
        leg, start = case.first_leg(), case.first_ring_at()
        hour = None if start is None else local(start, self.utc_offset_h).hour
        if leg is None or leg.at_scene_at is None or start is None or leg.at_scene_at < start:
            return self._without_arrival(case, why, hour)
        response_s = (leg.at_scene_at - start) / timedelta(seconds=1)
        late_by_s = response_s - TARGET_S
        found = [*self._before_the_wheels(case, leg, timeline), *self._the_drive(case, leg, timeline, deep)]
        device_at = (leg.device_at or {}).get("at_scene")
        if device_at is not None and start <= device_at < leg.at_scene_at:
            silent_s = (leg.at_scene_at - device_at) / timedelta(seconds=1)
            found.append(("signal", silent_s, silent_s, 0.0, leg.unit_id, None))
        rows = [
            Counterfactual(code, saved_s, response_s - saved_s, saved_s >= late_by_s, took_s, aim_s, subject, place)
            for code, saved_s, took_s, aim_s, subject, place in found
            if saved_s >= MIN_SAVING_S
        ]
        rows.sort(key=lambda c: (-c.saved_s, c.code))
        enough = [c for c in rows if c.enough and late_by_s > 0]
        decisive = next((c.code for c in enough if c.code not in RESOURCES), enough[0].code if enough else None)
        together = [] if decisive is not None or late_by_s <= 0 else _smallest_set(rows, late_by_s)
        sentences = whole_sentences(rows, decisive, together, response_s, late_by_s, why)
        return Explanation(
            case.incident_id, VERSION, why, case.settled_kind or case.kind, case.settled_zone or case.zone, hour,
            self._home_post(case), leg.unit_id, response_s, late_by_s, rows, decisive, together,
            self.router is None or self.router.approximate, *sentences,
        )  # fmt: skip

    def _without_arrival(self, case: Case, why: str, hour: int | None) -> Explanation:
        legs = [leg for c in case.cluster() for leg in c.legs]
        silent = [leg for leg in legs if leg.end in ("declined", "unanswered")]
        fenced = [leg for leg in legs if leg.first and leg.geofence_at is not None]
        there = [leg for leg in legs if leg.at_scene_at is not None]
        coming = [leg for leg in legs if leg.first and leg.at_scene_at is None and leg.ended_at is None]
        if case.ended_at is None and coming and not fenced:
            code, legs = "still_coming", coming
        elif not legs:
            code = "nobody_sent"
        elif fenced and not any(leg.first for leg in there):
            code, legs = "button_not_pressed", fenced
        elif there:
            code, legs = "not_capable", there
        elif len(silent) == len(legs):
            code = "nobody_came"
        else:
            code = "arrival_not_recorded"
        sentences = no_arrival_sentences(code, legs, case.short[-1][1] if case.short else "")
        return Explanation(
            case.incident_id, VERSION, why, case.settled_kind or case.kind, case.settled_zone or case.zone, hour,
            self._home_post(case), None, None, None, [], code, [], self.router is None or self.router.approximate,
            *sentences,
        )  # fmt: skip

    def _before_the_wheels(
        self, case: Case, leg: Leg, timeline: Timeline
    ) -> list[tuple[str, float, float, float, str | None, str | None]]:
        spent = phases(case, timeline)
        opened = min((c.opened_at for c in case.cluster() if c.opened_at is not None), default=None)
        found: list[tuple[str, float, float, float, str | None, str | None]] = []

        def over(code: str, took_s: float, aim_s: float, subject: str | None = None) -> None:
            if took_s > aim_s:
                found.append((code, took_s - aim_s, took_s, aim_s, subject, None))

        over("answer", spent.get("answer") or 0.0, PHASE_BUDGET_S["answer"])
        over("entry", spent.get("entry") or 0.0, PHASE_BUDGET_S["entry"])
        decision_s = spent.get("decision") or 0.0
        earlier = [
            other
            for c in case.cluster()
            for other in c.legs
            if other is not leg and other.first and other.assigned_at is not None and leg.assigned_at is not None
            and other.assigned_at < leg.assigned_at and other.end in ("declined", "unanswered", "withdrawn")
        ]  # fmt: skip
        if earlier and leg.assigned_at is not None:
            asked_first = min(other.assigned_at for other in earlier if other.assigned_at is not None)
            lost_s = min(decision_s, (leg.assigned_at - asked_first) / timedelta(seconds=1))
            over("reassigned", lost_s, 0.0, earlier[0].unit_id)
            decision_s -= lost_s
        short = [
            at for at, _ in case.short if opened is not None and leg.assigned_at is not None and at <= leg.assigned_at
        ]
        if short:
            over("no_unit", decision_s, 0.0)
        else:
            over("decision", decision_s, PHASE_BUDGET_S["decision"])
        over("alert", spent.get("alert") or 0.0, PHASE_BUDGET_S["alert"])
        crew_s = (spent.get("acknowledgement") or 0.0) + (spent.get("turnout") or 0.0)
        over("turnout", crew_s, self._turnout_s(leg.unit_id, leg.assigned_at), leg.unit_id)
        return found

    def _the_drive(
        self, case: Case, leg: Leg, timeline: Timeline, deep: bool
    ) -> list[tuple[str, float, float, float, str | None, str | None]]:
        found: list[tuple[str, float, float, float, str | None, str | None]] = []
        travel_s = phases(case, timeline).get("travel") or 0.0
        if leg.eta_s is None:
            return found
        predicted_s = max(0.0, leg.eta_s - self._turnout_s(leg.unit_id, leg.assigned_at))
        if travel_s > predicted_s and leg.en_route_at is not None and leg.eta_s > 0:
            found.append(("road", travel_s - predicted_s, travel_s, predicted_s, leg.unit_id, None))
        asked = (r for r in reversed(case.recommended) if r.capability == leg.capability)
        priced = next((r for r in asked if leg.assigned_at is not None and r.at <= leg.assigned_at), None)
        if priced is not None and priced.quickest_eta_s is not None and priced.quickest != leg.unit_id:
            saved_s = leg.eta_s - priced.quickest_eta_s
            found.append(
                ("choice", saved_s, leg.eta_s, priced.quickest_eta_s, priced.quickest, priced.quickest_verdict)
            )
        found += self._from_posts(case, leg, timeline, leg.eta_s, deep)
        return found

    def _from_posts(
        self, case: Case, leg: Leg, timeline: Timeline, eta_s: float, deep: bool
    ) -> list[tuple[str, float, float, float, str | None, str | None]]:
        region, posts = self.region, self._posts
        if region is None or posts is None or case.lon_lat is None or leg.assigned_at is None:
            return []
        mode = region.unit_types[region.units[leg.unit_id].unit_type].mode if leg.unit_id in region.units else "lights"
        reach: Mapping[str, float] = dict(posts.nearest(*case.lon_lat, None if deep else 1, mode))
        if not reach:
            return []
        again = self._replay.same(case) if self._replay is not None and deep else None
        found: list[tuple[str, float, float, float, str | None, str | None]] = []

        def with_unit(code: str, unit: UnitSpec, post: Post, subject: str) -> None:
            """What a free unit of this kind at this post would have saved: by the engine itself where it can be asked."""
            with_it_s = self._turnout_s(unit.unit_id, leg.assigned_at, unit.unit_type) + reach[post.code]
            took_s = eta_s
            if again is not None and self._replay is not None:
                decided = self._replay.decide(case, Extra(unit.unit_id, unit.unit_type, post.lon, post.lat, post.code))
                if decided is not None:
                    took_s, with_it_s = again.eta_s, decided.eta_s
            found.append((code, took_s - with_it_s, took_s, with_it_s, subject, post.name))

        best = min(reach, key=lambda code: (reach[code], code))
        if leg.unit_id in region.units:
            like = region.units[leg.unit_id]
            with_unit("post", UnitSpec(ONE_MORE, like.unit_type, like.agency, best), region.posts[best], best)
        wanted = case.root().wanted
        busy: tuple[float, str] | None = None
        for unit in region.units.values():
            kind = region.unit_types[unit.unit_type]
            if unit.unit_id == leg.unit_id or unit.home_post not in reach:
                continue
            if wanted and wanted.isdisjoint(kind.capabilities):
                continue
            if busy_at(timeline, unit.unit_id, leg.assigned_at, case.incident_id):
                candidate = (self._turnout_s(unit.unit_id, leg.assigned_at) + reach[unit.home_post], unit.unit_id)
                busy = candidate if busy is None else min(busy, candidate)
        if busy is not None:
            unit = region.units[busy[1]]
            with_unit("unit_free", unit, region.posts[unit.home_post], unit.unit_id)
        return found

    def _turnout_s(self, unit_id: str, at: datetime | None, unit_type: str | None = None) -> float:
        region = self.region
        if region is not None and unit_type is None and unit_id in region.units:
            unit_type = region.units[unit_id].unit_type
        if region is None or unit_type is None or at is None:
            return TURNOUT_S
        kind = region.unit_types[unit_type]
        hour = local(at, self.utc_offset_h).hour
        return kind.turnout_night_s if hour >= NIGHT[0] or hour < NIGHT[1] else kind.turnout_day_s

    def _home_post(self, case: Case) -> str | None:
        if self._posts is None or case.lon_lat is None:
            return None
        nearest = self._posts.nearest(*case.lon_lat, 1)
        return nearest[0][0] if nearest else None


def busy_at(timeline: Timeline, unit_id: str, at: datetime, but_for: str) -> bool:
    """Whether the unit was on another job at that moment."""
    return any(
        other.incident_id != but_for
        and other.assigned_at is not None
        and other.assigned_at <= at
        and (other.ended_at is None or other.ended_at > at)
        for other in timeline.unit_legs.get(unit_id, ())
    )


def _smallest_set(rows: list[Counterfactual], late_by_s: float) -> list[str]:
    chosen: list[str] = []
    saved_s, driven = 0.0, False
    for row in rows:  # largest first
        if row.code == "signal" or (row.code in DRIVES and driven):
            continue
        chosen.append(row.code)
        saved_s += row.saved_s
        driven = driven or row.code in DRIVES
        if saved_s >= late_by_s:
            return chosen
    return []


def summarise(explanations: list[Explanation]) -> LateSummary:
    """Add explanations up by cause, post, hour and area. Most often decisive first."""
    causes: dict[str, CauseSum] = {}
    by_post: dict[str, dict[str, int]] = {}
    by_hour: dict[str, dict[str, int]] = {}
    by_zone: dict[str, dict[str, int]] = {}
    for item in explanations:
        decisive = item.decisive or ("together" if item.together else "out_of_reach")
        causes.setdefault(decisive, CauseSum(decisive)).decisive += 1
        for row in item.counterfactuals:
            cause = causes.setdefault(row.code, CauseSum(row.code))
            cause.present += 1
            cause.seconds += row.saved_s
            cause.would_save += row.enough
        hour = UNKNOWN if item.hour is None else f"{item.hour:02d}"
        for table, key in ((by_post, item.post or UNKNOWN), (by_hour, hour), (by_zone, item.zone or UNKNOWN)):
            row_of = table.setdefault(key, {})
            row_of[decisive] = row_of.get(decisive, 0) + 1
    return LateSummary(
        VERSION,
        len(explanations),
        sum(e.decisive is not None and bool(e.counterfactuals) for e in explanations),
        sorted(causes.values(), key=lambda c: (-c.decisive, -c.would_save, c.code)),
        {k: by_post[k] for k in sorted(by_post)},
        {k: by_hour[k] for k in sorted(by_hour)},
        {k: by_zone[k] for k in sorted(by_zone)},
    )
