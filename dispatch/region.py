"""A region: everything about one city that the engine needs and no code may know.

These are the validated shapes. `pack.py` reads them from a folder `regions/<name>/`; simulators and the replay build
them in memory. A region is immutable while a server runs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

AUTO = "auto"  # sends at once; the dispatcher may undo
PRE_ALERT = "pre_alert"  # alerts at once, sends when the dispatcher or the clock confirms
CONFIRM = "confirm"  # waits for the dispatcher
MODES = (AUTO, PRE_ALERT, CONFIRM)


class Kind(msgspec.Struct, frozen=True):
    """A kind of report, e.g. `laka` (traffic accident)."""

    code: str
    name_id: str
    name_en: str
    priority: int
    agency: str
    keywords: tuple[str, ...] = ()
    medical: bool = False
    transport_share: float = 0.0
    """Share of incidents that end in a transport; for simulation only."""
    related: tuple[str, ...] = ()
    """Kinds under which other callers may report the same event; see `Region.are_related`."""


class Capability(msgspec.Struct, frozen=True):
    """What a unit can do, e.g. `ambulance`. Plans ask for capabilities, never for unit types."""

    code: str
    name_id: str
    name_en: str


class UnitType(msgspec.Struct, frozen=True):
    code: str
    letter: str
    name_id: str
    name_en: str
    capabilities: frozenset[str]
    mode: str
    turnout_day_s: float
    turnout_night_s: float
    transport: bool = False


class Post(msgspec.Struct, frozen=True):
    code: str
    name: str
    kind: str
    lon: float
    lat: float
    capacity: int = 3
    street: bool = False
    """A waiting point on the street rather than a building."""


class UnitSpec(msgspec.Struct, frozen=True):
    unit_id: str
    unit_type: str
    agency: str
    home_post: str


class Hospital(msgspec.Struct, frozen=True):
    code: str
    name: str
    lon: float
    lat: float
    emergency: bool = True
    """Has an emergency department (IGD) open day and night."""
    capabilities: frozenset[str] = frozenset()
    assumed: bool = False
    """The emergency department and capabilities are our assumption, not yet confirmed by the hospital."""


class Premise(msgspec.Struct, frozen=True):
    """What a crew must know before it comes to a place: gas stored, gate code, low bridge. About places, never about people."""

    code: str
    name: str
    lon: float
    lat: float
    radius_m: float
    note_id: str
    note_en: str


class Zone(msgspec.Struct, frozen=True):
    """A kecamatan: unit of area plans and of every published table."""

    code: str
    name: str
    lon: float
    lat: float
    population: int
    area_km2: float
    wing: str = ""


class Agency(msgspec.Struct, frozen=True):
    code: str
    name: str
    phone: str = ""
    help: str = "city"
    """`city`: its units are ordered; `partner`: asked for mutual aid; `volunteer`: asked, and may not come."""


class Slot(msgspec.Struct, frozen=True):
    """One place in a response plan: `count` units, each having one of `capabilities` (first is preferred)."""

    capabilities: tuple[str, ...]
    count: int = 1
    first: bool = True
    """Counts as a capable first response (stops the 7-minute clock)."""


class Plan(msgspec.Struct, frozen=True):
    """A run card: which units go to a kind of incident, and how. The first matching plan in pack order wins."""

    code: str
    kinds: frozenset[str]
    slots: tuple[Slot, ...]
    priorities: frozenset[int] = frozenset({1, 2, 3})
    zones: frozenset[str] = frozenset()
    """Empty = everywhere."""
    hours: tuple[int, int] = (0, 24)
    """Local hours [from, to); may wrap around midnight."""
    mode: str = AUTO
    alarms: tuple[tuple[Slot, ...], ...] = ()
    """What each further alarm level adds: alarms[0] is level 2."""
    optional_agencies: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """One answer a call taker may pick. `score` adds to the question set's sum; `advice` is read out to the caller."""

    code: str
    name_id: str
    name_en: str
    score: int = 0
    advice_id: str = ""
    advice_en: str = ""


class Question(msgspec.Struct, frozen=True):
    """One triage question. Asked only when question `when_question` (earlier in the set) got one of `when_answers`."""

    code: str
    text_id: str
    text_en: str
    answers: tuple[Answer, ...]
    when_question: str | None = None
    when_answers: frozenset[str] = frozenset()


class QuestionSet(msgspec.Struct, frozen=True):
    """What to ask about some kinds of incident, in order, and from which score on the priority is 1 or 2."""

    code: str
    kinds: frozenset[str]
    questions: tuple[Question, ...]
    p1_from: int
    p2_from: int
    source: str = ""
    """The guidance the questions were written from."""


class KindWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Phrases callers use for one kind of incident: `strong` ones decide alone, `weak` ones only hint."""

    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    yields_to: frozenset[str] = frozenset()
    """Kinds that explain these words better when they are also heard: a crash explains the injured."""


class Words(msgspec.Struct, frozen=True):
    """The language `classify` listens for. Spelling maps what people type to the standard word: `gak` -> `tidak`."""

    kinds: Mapping[str, KindWords]
    urgent: tuple[str, ...] = ()
    calm: tuple[str, ...] = ()
    negations: frozenset[str] = frozenset()
    spelling: Mapping[str, str] = {}
    ordinary: frozenset[str] = frozenset()
    """Everyday words that look like a key word and must not be corrected to it: `tolong` is not `todong`."""


class KindDemand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often one kind happens. Weights are relative and need no particular sum; empty = as for all kinds."""

    yearly: float
    hours: tuple[float, ...] = ()
    """24 weights by local hour."""
    months: tuple[float, ...] = ()
    """12 weights, January first."""
    zones: Mapping[str, float] = {}
    """Weight by zone code."""
    scene_min: tuple[float, float, float] | None = None
    """Quartiles of minutes from report to done."""


class Demand(msgspec.Struct, frozen=True):
    """What a year asks of the region; for simulation and forecasts only, never for a live decision about one report."""

    year: int
    source: str
    kinds: Mapping[str, KindDemand]
    wing_share: Mapping[str, float] = {}
    """Share of incidents by wing (wilayah), sums to 1."""
    hours: tuple[float, ...] = ()
    weekdays: tuple[float, ...] = ()
    """7 weights, Monday first."""


class Limits(msgspec.Struct, frozen=True):
    """Times and sizes the city may set; each default says where it comes from."""

    target_s: float = 420.0  # founding text of Command Center 112: 7 minutes from receipt
    warn_left_s: float = 180.0  # a remedy needs about three minutes of driving to be worth sending
    ack_timeout_s: float = 30.0  # half of the 60 s turnout of NFPA 1710
    ack_alerts_max: int = 2  # alerted twice, then the next unit goes
    retry_s: float = 15.0  # how often an unfilled plan is tried again
    answer_due_s: float = 10.0  # NFPA 1225: 90 % answered within 10 s
    answer_claim_s: float = (
        180.0  # an answered call nobody has written up in three minutes may be taken over by a colleague
    )
    hourly_traffic: bool = False
    """Whether travel times follow the hour of the day (`geo/traffic.py`); off where a city model's times are flat."""
    risk_check_s: float | None = 15.0
    """How often, at most, the chance of arriving in time is looked at again; None = never (simulations that do not need it)."""
    risk_chance: float = 0.2
    """Below it a warning is given at any time; see `alarms.LAST_CALL_CHANCE` for the last `warn_left_s`. At 0.5 four warnings in
    ten are false when travel times spread by 0.68."""
    warning_ack_s: float = 20.0
    """A warning nobody has taken on after this goes to the supervisor, after twice this to the manager on duty: a warning comes
    two to three minutes before the breach, and a minute must be left to act."""
    pre_alert_s: float = 60.0  # a pre-alerted plan goes in full after the NFPA 1225 processing time, yes or no
    duplicate_hold_s: float = 45.0  # a likely duplicate waits this long for a person, then is served as its own
    duplicate_hold_score: float = 0.6
    relocate_every_s: float = 0.0
    """Move-ups are looked at no more often than this; 0 = after every change, as the published policies do."""
    move_up_wait_s: float = 0.0
    """How long a move-up is only a suggestion that a dispatcher may take up or decline; then it is ordered. 0 = at once, as in
    simulations. Shorter than `relocate_every_s`, so that no two suggestions for one gap stand side by side."""
    move_ups_per_duty: int = 8  # moves a crew will bear in one shift; POLICY.md reports 4-5 idle moves a unit-day
    duplicate_radius_m: float = 250.0
    duplicate_window_s: float = 1800.0
    crew_check_s: float | None = None
    """A crew at the scene must give a sign of life this often, or the desk is told; None = not watched."""
    fix_stale_s: float = 120.0  # an older fix is shown and ranked as uncertain
    candidates_max: int | None = None
    """Candidates priced exactly per slot; None = every unit (live). Simulations may bound it."""


class Region(msgspec.Struct, frozen=True):
    code: str
    name: str
    utc_offset_h: float
    bbox: tuple[float, float, float, float]
    """west, south, east, north: positions outside are refused."""
    kinds: Mapping[str, Kind]
    unit_types: Mapping[str, UnitType]
    units: Mapping[str, UnitSpec]
    posts: Mapping[str, Post]
    hospitals: Mapping[str, Hospital]
    plans: tuple[Plan, ...]
    premises: Mapping[str, Premise] = {}
    zones: Mapping[str, Zone] = {}
    agencies: Mapping[str, Agency] = {}
    capabilities: Mapping[str, Capability] = {}
    triage: Mapping[str, QuestionSet] = {}
    """Question set by kind; a kind without one keeps its default priority."""
    triage_version: str = ""
    words: Words | None = None
    demand: Demand | None = None
    command_centre: tuple[float, float] | None = None
    """lon, lat of the room the calls arrive in."""
    speed_kmh: Mapping[str, float] = {}
    """Travel mode -> km/h for the straight-line router; empty = that router's own defaults."""
    detour_factor: float = 1.35
    """Road length over straight line, for the straight-line router. 1.35 is the median measured on Surabaya's real roads."""
    limits: Limits = Limits()
    policy: str = "closest"
    """Name of the dispatch policy; see `dispatch/policies`."""

    def contains(self, lon: float, lat: float) -> bool:
        west, south, east, north = self.bbox
        return west <= lon <= east and south <= lat <= north

    def are_related(self, one: str, other: str) -> bool:
        """Whether two different kinds may be the same event seen by two callers; symmetric, False for unknown kinds."""
        return any(b in k.related for a, b in ((one, other), (other, one)) if (k := self.kinds.get(a)) is not None)
