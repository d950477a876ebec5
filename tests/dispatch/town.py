"""A small invented town for engine tests: four ambulances, two motorbikes, two engines, one straight road grid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dispatch import commands as co
from dispatch import events as ev
from dispatch.engine import Engine
from dispatch.model import Actor, Channel, Place
from dispatch.policies.view import Policy
from dispatch.region import (
    CONFIRM,
    PRE_ALERT,
    Hospital,
    Kind,
    Limits,
    Plan,
    Post,
    Region,
    Slot,
    UnitSpec,
    UnitType,
    Zone,
)
from geo.router import StraightLineRouter

T0 = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # Monday 08:00 in WIB
LON, LAT = 112.74, -7.26
TAKER = Actor(role="call_taker", name="sari")
DISPATCHER = Actor(role="dispatcher", name="bima")
SUPERVISOR = Actor(role="supervisor", name="rina")


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def town(**limits: object) -> Region:
    """Everything within 5 km; posts at the centre, 2 km east and 4 km east."""
    kinds = {
        "medis": Kind("medis", "Medis", "Medical", 1, "dinkes", medical=True, related=("laka",)),
        "laka": Kind("laka", "Kecelakaan", "Crash", 1, "dinkes", medical=True),
        "kebakaran": Kind("kebakaran", "Kebakaran", "Fire", 1, "dpkp"),
        "pohon": Kind("pohon", "Pohon tumbang", "Fallen tree", 3, "bpbd"),
        "kdrt": Kind("kdrt", "KDRT", "Domestic violence", 2, "dp3a"),
    }
    unit_types = {
        "amb": UnitType(
            "amb", "A", "Ambulans", "Ambulance", frozenset({"ambulance"}), "lights", 60.0, 90.0, transport=True
        ),
        "mot": UnitType("mot", "M", "Motor", "Motorbike", frozenset({"first_aid"}), "motorbike", 30.0, 45.0),
        "eng": UnitType("eng", "P", "Pemadam", "Engine", frozenset({"fire"}), "lights", 80.0, 80.0),
    }
    posts = {
        "pusat": Post("pusat", "Pos Pusat", "posko", LON, LAT),
        "timur": Post("timur", "Pos Timur", "posko", LON + 0.018, LAT),
        "ujung": Post("ujung", "Pos Ujung", "posko", LON + 0.036, LAT),
    }
    units = {
        "A1": UnitSpec("A1", "amb", "dinkes", "pusat"),
        "A2": UnitSpec("A2", "amb", "dinkes", "timur"),
        "A3": UnitSpec("A3", "amb", "dinkes", "ujung"),
        "A4": UnitSpec("A4", "amb", "dinkes", "ujung"),
        "M1": UnitSpec("M1", "mot", "bpbd", "pusat"),
        "M2": UnitSpec("M2", "mot", "bpbd", "timur"),
        "P1": UnitSpec("P1", "eng", "dpkp", "pusat"),
        "P2": UnitSpec("P2", "eng", "dpkp", "timur"),
    }
    first_aid = Slot(("first_aid", "ambulance"))
    carry = Slot(("ambulance",), first=False)
    plans = (
        Plan("laka", frozenset({"laka"}), (first_aid, carry), alarms=((Slot(("ambulance",), 2, first=False),),)),
        Plan("medis", frozenset({"medis"}), (Slot(("ambulance",)),)),
        Plan("kebakaran", frozenset({"kebakaran"}), (Slot(("fire",), 2), carry), mode=PRE_ALERT),
        Plan("kdrt", frozenset({"kdrt"}), (Slot(("ambulance",)),), mode=CONFIRM),
        Plan("pohon", frozenset({"pohon"}), (Slot(("fire",)),)),
    )
    return Region(
        code="town",
        name="Kota Contoh",
        utc_offset_h=7.0,
        bbox=(LON - 0.1, LAT - 0.1, LON + 0.1, LAT + 0.1),
        kinds=kinds,
        unit_types=unit_types,
        units=units,
        posts=posts,
        hospitals={
            "rs1": Hospital("rs1", "RS Satu", LON + 0.01, LAT),
            "rs2": Hospital("rs2", "RS Dua", LON + 0.04, LAT),
        },
        plans=plans,
        zones={
            "z1": Zone("z1", "Pusat", LON, LAT, 50_000, 5.0),
            "z2": Zone("z2", "Timur", LON + 0.03, LAT, 40_000, 6.0),
        },
        limits=Limits(**limits),  # type: ignore[arg-type]
    )


def make_engine(policy: Policy | None = None, on_duty: bool = True, **limits: object) -> Engine:
    engine = Engine(town(**limits), StraightLineRouter(), policy)
    if on_duty:
        for unit_id in engine.region.units:
            engine.step(co.StartDuty(unit_id=unit_id, crew=["Awak Contoh"]), T0, Actor(role="crew", name=unit_id))
    return engine


def crew(unit_id: str) -> Actor:
    return Actor(role="crew", name=unit_id)


def report(kind: str = "medis", dlon: float = 0.0, dlat: float = 0.0, **more: object) -> co.SubmitReport:
    return co.SubmitReport(
        channel=Channel.CALL,
        kind=kind,
        place=Place(lon=LON + dlon, lat=LAT + dlat),
        **more,  # type: ignore[arg-type]
    )


def kinds_of(entries: list[ev.Entry]) -> list[str]:
    return [str(type(e.event).__struct_config__.tag) for e in entries]


def assigned_units(entries: list[ev.Entry]) -> list[str]:
    return [e.event.unit_id for e in entries if isinstance(e.event, ev.UnitAssigned)]
