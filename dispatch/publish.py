"""Fan-out of durable events: what is published has been written, and everybody sees the same thing in the same order.

The hub folds published entries into its own `State`, so that whoever reads (REST, snapshots, boards) sees only durable
truth. Each batch becomes one console message, encoded once for all; recent ones are kept so that a dropped connection
resumes without loss or repeat.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dispatch import events as ev
from dispatch.fold import State, Touched
from dispatch.model import OPEN_STATES, Caller, Position, Report
from dispatch.region import Region

REMEMBERED_MAX = 2000
"""Messages kept for resuming: ten minutes of the worst second we are built for; older clients get a snapshot."""
SUBSCRIBER_QUEUE_MAX = 256
"""Messages a slow reader may fall behind before it is cut off; it resumes by `after`."""
ENDED_SHOWN = timedelta(hours=1)
"""Ended incidents stay in a console's snapshot this long."""

Listener = Callable[[list[ev.Entry]], None]


class Message(msgspec.Struct):
    """One published batch: first and last `seq`, the touched ids, and the console's text."""

    seq_from: int
    seq: int
    at: datetime
    entries: list[ev.Entry]
    touched: Touched
    text: bytes


class Subscriber:
    """A reader's bounded queue. `lost` is set when it was too slow; the connection is then closed to resume."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message | bytes] = asyncio.Queue(SUBSCRIBER_QUEUE_MAX)
        self.lost = asyncio.Event()

    def offer(self, item: Message | bytes) -> None:
        try:
            self.queue.put_nowait(item)
        except asyncio.QueueFull:
            self.lost.set()


class Hub:
    """The published side of one region."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.state = State(region)
        self.positions: dict[str, Position] = {}
        self.degraded = False
        self._moved: dict[str, None] = {}
        self._recent: deque[Message] = deque(maxlen=REMEMBERED_MAX)
        self._subscribers: set[Subscriber] = set()
        self._of_unit: dict[str, set[Subscriber]] = {}
        self.unit_seq: dict[str, int] = {}
        """Last line that changed something a unit's device must know."""
        self._listeners: list[Listener] = []

    # --- feeding

    def load(self, state: State) -> None:
        """Start from a recovered state. Whoever reads already is cut off, to begin again with a snapshot."""
        self._recent.clear()
        self.state = state
        self.broadcast({"type": "reload"})  # wakes the senders, which then see that they are lost
        for subscriber in self._subscribers:
            subscriber.lost.set()
        self.wake_units()
        self.state.drain_touched()
        for unit in state.units.values():
            if unit.position is not None:
                self.positions[unit.unit_id] = unit.position

    def wake_units(self) -> None:
        """Send every device the present, whatever it waits for: a reload, or a server that stops."""
        for readers in self._of_unit.values():
            for subscriber in readers:
                subscriber.offer(b"")  # a device is sent the whole present whatever the message says

    def wake_unit(self, unit_id: str) -> None:
        """The same for the devices of one unit."""
        for subscriber in self._of_unit.get(unit_id, ()):
            subscriber.offer(b"")

    def listen(self, listener: Listener) -> None:
        """Call with each published batch, in order, synchronously. Listeners must be quick."""
        self._listeners.append(listener)

    def publish(self, entries: list[ev.Entry]) -> None:
        if not entries:
            return
        for entry in entries:
            self.state.apply(entry)
        touched = self.state.drain_touched()
        message = Message(
            seq_from=entries[0].seq,
            seq=entries[-1].seq,
            at=entries[-1].at,
            entries=entries,
            touched=touched,
            text=self._changes(entries[-1].seq, entries[-1].at, entries, touched),
        )
        self._recent.append(message)
        for listener in self._listeners:
            listener(entries)
        for subscriber in self._subscribers:
            subscriber.offer(message)
        for unit_id in self._units_concerned(touched):
            self.unit_seq[unit_id] = message.seq
            for subscriber in self._of_unit.get(unit_id, ()):
                subscriber.offer(message)

    def _units_concerned(self, touched: Touched) -> set[str]:
        """Units whose row, job or job's incident changed."""
        state = self.state
        found = set(touched.units)
        found.update(state.assignments[a].unit_id for a in touched.assignments if a in state.assignments)
        for incident_id in touched.incidents:
            incident = state.incidents.get(incident_id)
            if incident is not None:
                found.update(a.unit_id for a in state.active_of(incident))
        return found

    def moved(self, unit_id: str, position: Position) -> None:
        """A fix arrived; it goes out with the next `flush_positions`."""
        self.positions[unit_id] = position
        self._moved[unit_id] = None

    def flush_positions(self, at: datetime) -> None:
        """Send the fixes since the last flush as one message; called once a second, so a fleet cannot flood a console."""
        if self._moved:
            rows = [position_row(u, self.positions[u]) for u in self._moved]
            self._moved = {}
            self.broadcast({"type": "positions", "at": at, "positions": rows})

    def broadcast(self, message: dict[str, Any]) -> None:
        text = msgspec.json.encode(message)
        for subscriber in self._subscribers:
            subscriber.offer(text)

    # --- reading

    def subscribe(self) -> Subscriber:
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)

    def subscribe_unit(self, unit_id: str) -> Subscriber:
        """A device of this unit: gets a message whenever something concerning the unit is published."""
        subscriber = Subscriber()
        self._of_unit.setdefault(unit_id, set()).add(subscriber)
        return subscriber

    def unsubscribe_unit(self, unit_id: str, subscriber: Subscriber) -> None:
        readers = self._of_unit.get(unit_id, set())
        readers.discard(subscriber)
        if not readers:
            self._of_unit.pop(unit_id, None)

    @property
    def readers(self) -> int:
        return len(self._subscribers)

    def snapshot(self, at: datetime) -> bytes:
        """What a console starts from."""
        state = self.state
        incidents = [
            i
            for i in state.incidents.values()
            if i.state in OPEN_STATES or (i.ended_at is not None and i.ended_at >= at - ENDED_SHOWN)
        ]
        shown = {i.incident_id for i in incidents}
        reports = [
            r
            for r in state.reports.values()
            if r.incident_id in shown or (r.incident_id is None and r.received_at >= at - ENDED_SHOWN)
        ]
        return msgspec.json.encode(
            {
                "type": "snapshot",
                "seq": state.seq,
                "at": at,
                "reports": [report_row(r) for r in reports],
                "incidents": [self.incident_row(i.incident_id) for i in incidents],
                "units": [msgspec.structs.replace(u, position=None) for u in state.units.values()],
                "assignments": [a for a in state.assignments.values() if a.incident_id in shown],
                "restrictions": list(state.restrictions.values()),
                "positions": [position_row(u, p) for u, p in self.positions.items()],
            }
        )

    def resume(self, after: int, at: datetime) -> list[bytes]:
        """Messages that bring a console from line `after` to now: the missed changes, else a snapshot."""
        if after == self.state.seq:
            return []
        missed = [m for m in self._recent if m.seq > after]
        if after > self.state.seq or not missed or missed[0].seq_from > after + 1:
            return [self.snapshot(at)]
        return [m.text for m in missed]

    def incident_row(self, incident_id: str) -> dict[str, Any]:
        """An incident with its latest recommendation per missing or filled place."""
        row = msgspec.structs.asdict(self.state.incidents[incident_id])
        row["recommended"] = list(self.state.recommended.get(incident_id, {}).values())
        return row

    def _changes(self, seq: int, at: datetime, entries: list[ev.Entry], touched: Touched) -> bytes:
        state = self.state
        return msgspec.json.encode(
            {
                "type": "changes",
                "seq": seq,
                "at": at,
                "reports": [report_row(state.reports[i]) for i in touched.reports if i in state.reports],
                "incidents": [self.incident_row(i) for i in touched.incidents if i in state.incidents],
                "units": [msgspec.structs.replace(state.units[i], position=None) for i in touched.units],
                "assignments": [state.assignments[i] for i in touched.assignments if i in state.assignments],
                "restrictions": list(state.restrictions.values()) if touched.restrictions else None,
                "entries": [entry_row(e) for e in entries],
            }
        )


def report_row(report: Report) -> dict[str, Any]:
    """A report without its caller's data; whether there is a number to call back is told."""
    row = msgspec.structs.asdict(report)
    del row["caller"]
    row["has_phone"] = report.caller.phone is not None
    return row


def entry_row(entry: ev.Entry) -> dict[str, Any]:
    """A journal line as screens see it: no caller's data, no long candidate tables."""
    event = entry.event
    if isinstance(event, (ev.ReportSubmitted, ev.CallPresented)):
        event = msgspec.structs.replace(event, caller=Caller())
    elif isinstance(event, ev.UnitRecommended):
        best = event.candidates
        event = msgspec.structs.replace(
            event,
            candidates=ev.Candidates(
                unit_ids=best.unit_ids[:3], eta_s=best.eta_s[:3], chance=best.chance[:3], verdict=best.verdict[:3]
            ),
        )
    return {"seq": entry.seq, "at": entry.at, "actor": entry.actor, "event": event}


def position_row(unit_id: str, position: Position) -> dict[str, Any]:
    row: dict[str, Any] = {"unit_id": unit_id}
    row.update(msgspec.structs.asdict(position))
    return row


def rows_of(state: State, ids: Iterable[str], table: str) -> list[Any]:
    """Current rows of the touched ids that are still in memory."""
    rows: dict[str, Any] = getattr(state, table)
    return [rows[i] for i in ids if i in rows]
