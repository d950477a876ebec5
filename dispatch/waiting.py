"""What nobody is coming for yet: the unfilled places of open plans, kept in order of urgency from round to round.

In a surge thousands of places wait while a handful of units come free. A planning round must then cost by what has changed,
not by who waits: places are filed by what they ask for, and only those somebody could fill now are looked at.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from dispatch import plans
from dispatch.policies.view import Need

Filed = tuple[int, datetime, str, int, Need]
"""Priority, first ring, incident, place in its plan: most urgent first, one incident's places in the order of its plan."""

LOOKED_AT_MAX = 60
"""Places shown to the policy in one round, most urgent first. With more the city is in a disaster: the rest is looked at as
soon as anything changes, and at every retry."""


class Waiting:
    """Unfilled places by requirement, and places whose unit is on its way. `put` replaces all of an incident's places."""

    def __init__(self) -> None:
        self._of: dict[str, list[Filed]] = {}
        self._by_slot: dict[str, list[Filed]] = {}
        self._coming_of: dict[str, list[Filed]] = {}
        self._coming: list[Filed] = []
        self.unconfirmed: dict[str, None] = {}
        """Incidents with places whose plan waits for a person's yes."""

    def __bool__(self) -> bool:
        return bool(self._of)

    def put(self, incident_id: str, needs: Sequence[Need], coming: Sequence[Need] = ()) -> None:
        """The incident's places that may be filled now, and those somebody is coming for; none takes it off."""
        for old in self._of.pop(incident_id, ()):
            slot = self._by_slot[old[4].slot]
            del slot[bisect_left(slot, old)]
            if not slot:
                del self._by_slot[old[4].slot]
        if needs:
            filed = self._of[incident_id] = _filed(needs)
            for one in filed:
                insort(self._by_slot.setdefault(one[4].slot, []), one)
        for old in self._coming_of.pop(incident_id, ()):
            del self._coming[bisect_left(self._coming, old)]
        if coming:
            filed = self._coming_of[incident_id] = _filed(coming)
            for one in filed:
                insort(self._coming, one)

    def coming(self) -> list[Need]:
        """Places whose unit is on its way and not yet there, most urgent first."""
        return [filed[4] for filed in self._coming]

    def slots_of(self, incident_id: str) -> list[str]:
        """Requirements of the incident's places, in the order of its plan."""
        return [filed[4].slot for filed in self._of.get(incident_id, ())]

    def fillable(self, free: frozenset[str], divertible: Callable[[], frozenset[str]]) -> list[Need]:
        """The most urgent places that a free unit could fill by its capability or, priority 1, one that may be diverted.

        `divertible` tells the capabilities of units on their way to something less urgent; asked only when it matters.
        """
        lists: list[Iterator[Filed] | list[Filed]] = []
        for slot, filed in self._by_slot.items():
            able = plans.alternatives(slot)
            if not free.isdisjoint(able):
                lists.append(filed)
            elif filed[0][0] == 1 and not divertible().isdisjoint(able):
                lists.append(iter(filed[: bisect_left(filed, (2,))]))
        return [filed[4] for filed in islice(heapq.merge(*lists), LOOKED_AT_MAX)]


def _filed(needs: Sequence[Need]) -> list[Filed]:
    return [(n.priority, n.rang_at, n.incident_id, i, n) for i, n in enumerate(needs)]
