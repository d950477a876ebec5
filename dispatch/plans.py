"""Which response plan an incident gets, which units that plan asks for, and how a shortfall is put into words.

Pure: reads the region, decides nothing about which unit goes. A requirement is one unit and is written as the
capabilities that satisfy it, the preferred one first, joined by `|`: `motorbike|ambulance`.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from dispatch.model import Unit, UnitState
from dispatch.region import Plan, Region, Slot

OR = "|"
"""Joins the alternatives of one requirement."""


def in_hours(hours: tuple[int, int], local_hour: int) -> bool:
    """Whether the clock hour 0..23 lies in [from, to), which may wrap around midnight: (22, 6) is the night."""
    start, end = hours
    if start < end:
        return start <= local_hour < end
    return local_hour >= start or local_hour < end


def applies(plan: Plan, kind: str, priority: int, zone: str | None, local_hour: int) -> bool:
    """Whether the plan's conditions hold. A plan bound to areas does not apply where the area is unknown."""
    return (
        kind in plan.kinds
        and priority in plan.priorities
        and (not plan.zones or zone in plan.zones)
        and in_hours(plan.hours, local_hour)
    )


def match(region: Region, kind: str, priority: int, zone: str | None, local_hour: int) -> Plan:
    """The first plan in pack order that applies: packs list the special before the general.

    `pack.load` proves that every kind and priority has a plan everywhere and at every hour, so finding none is a
    programmer's mistake (an unvalidated region, an unknown kind) and raises LookupError.
    """
    for plan in region.plans:
        if applies(plan, kind, priority, zone, local_hour):
            return plan
    raise LookupError(f"region {region.code!r} has no plan for {kind!r} P{priority} in {zone!r} at {local_hour}h")


def levels(plan: Plan) -> int:
    """How many alarm levels the plan has; at least 1."""
    return 1 + len(plan.alarms)


def alarm_adds(plan: Plan, level: int) -> list[str] | None:
    """What raising the alarm to `level` sends in addition (level 1: the first response); None when there is no such level."""
    if not 1 <= level <= levels(plan):
        return None
    return [requirement for slot in _slots(plan, level) for requirement in _spell(slot)]


def required(plan: Plan, alarm_level: int) -> list[str]:
    """Everything the plan wants at this alarm level, lower levels included: one requirement per unit, in plan order."""
    return [requirement for slot in _slots_up_to(plan, alarm_level) for requirement in _spell(slot)]


def first_flags(plan: Plan, alarm_level: int) -> list[bool]:
    """For each entry of `required`: does that unit's arrival stop the 7-minute clock?"""
    return [slot.first for slot in _slots_up_to(plan, alarm_level) for _ in range(slot.count)]


@functools.cache
def alternatives(requirement: str) -> tuple[str, ...]:
    """The capabilities that satisfy a requirement, preferred first."""
    return tuple(requirement.split(OR))


def _slots(plan: Plan, level: int) -> tuple[Slot, ...]:
    return plan.slots if level == 1 else plan.alarms[level - 2]


def _slots_up_to(plan: Plan, alarm_level: int) -> list[Slot]:
    if alarm_level < 1:
        raise ValueError(f"alarm levels start at 1, not {alarm_level}")
    return [slot for level in range(1, min(alarm_level, levels(plan)) + 1) for slot in _slots(plan, level)]


def _spell(slot: Slot) -> list[str]:
    return [OR.join(slot.capabilities)] * slot.count


# --- shortfall in words

_STATE_WORDS = {
    # In the order an operator wants them: what might come free first.
    UnitState.COMMITTED: ("bertugas di kejadian lain", "committed to another incident"),
    UnitState.OUT_OF_SERVICE: ("tidak siap", "out of service"),
    UnitState.OFF_DUTY: ("tidak dinas", "off duty"),
    UnitState.AVAILABLE: ("siaga tetapi tidak dapat dikirim", "available but could not be sent"),
}


def name_requirement(region: Region, requirement: str, language: str = "id") -> str:
    """A requirement as people say it: `motorbike|ambulance` -> "motor atau ambulans"."""
    names = []
    for code in alternatives(requirement):
        capability = region.capabilities.get(code)
        names.append(code if capability is None else capability.name_en if language == "en" else capability.name_id)
    return (" or " if language == "en" else " atau ").join(names)


def able(requirement: str, units: Iterable[Unit]) -> list[Unit]:
    """The units that could fill this requirement if they were free."""
    return [unit for unit in units if not unit.capabilities.isdisjoint(alternatives(requirement))]


def shortfall(
    region: Region, missing: Sequence[str], able_to: Callable[[str], Sequence[Unit]], language: str = "id"
) -> str:
    """One sentence per missing requirement: how many are missing and what the units that could do it are doing.

    `able_to` answers with all of the fleet that could fill a requirement, not just the free. Empty text when nothing is missing.
    """
    english = language == "en"
    sentences = []
    for requirement, count in Counter(missing).items():
        units = able_to(requirement)
        name = name_requirement(region, requirement, language)
        head = f"Short of {count} x {name}" if english else f"Kurang {count} x {name}"
        if not units:
            tail = "no such unit in the fleet" if english else "tidak ada unit seperti itu di armada"
        else:
            states = Counter(unit.state for unit in units)
            parts = [f"{states[state]} {words[english]}" for state, words in _STATE_WORDS.items() if states[state]]
            tail = (f"of {len(units)} units " if english else f"dari {len(units)} unit ") + ", ".join(parts)
        sentences.append(f"{head}: {tail}.")
    return " ".join(sentences)
