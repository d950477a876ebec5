"""What must never happen, checked at every commit, publication and acknowledgement, and what must hold at the end."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from dispatch import events as ev
from dispatch.fold import State
from dispatch.journal import Batch, encode_event
from dispatch.model import (
    ACTIVE_ASSIGNMENT_STATES,
    OPEN_STATES,
    AssignmentState,
    Incident,
    ReportState,
    UnitState,
)
from dispatch.region import CONFIRM, Region
from sla.timeline import Timeline
from tests.simulation.wire import ROWS, Line, encode_row

if TYPE_CHECKING:
    from tests.simulation.world import Host, World

EDITS = (
    ev.IncidentRegraded,
    ev.IncidentRelocated,
    ev.IncidentMerged,
    ev.IncidentUnmerged,
    ev.IncidentCancelled,
    ev.IncidentClosed,
    ev.IncidentReopened,
    ev.ReportAttached,
    ev.ReportDetached,
    ev.ReportDismissed,
)
DIGEST_EVERY = 16
"""Publications between two comparisons of a whole follower with the journal's fold."""


class Watch(logging.Handler):
    """Sees everything. `violation` is the first thing that was wrong."""

    def __init__(self, region: Region) -> None:
        super().__init__(logging.ERROR)
        self.region = region
        self.world: World | None = None
        self.violation: str | None = None
        self.truth = State(region)
        self.sla = Timeline()
        self.sla_within = 0
        self.commands: dict[str, int] = {}
        """Client's key -> the commit it was executed in."""
        self.report_of_key: dict[str, str] = {}
        self.acked: dict[tuple[str, str], tuple[str, str | None]] = {}
        """(scope, key) -> (path, report id told)."""
        self.redecided: set[str] = set()
        self.told: dict[str, str] = {}
        """Report id -> key of the one caller who was given it."""
        self.rings: dict[str, datetime] = {}
        self.commits = 0
        self.published_count = 0
        self.notes: dict[str, int] = {}
        """Text of a note given without a key -> how often it is in the journal."""
        self.acked_notes: set[str] = set()
        self.spooled: dict[str, dict[int, bytes]] = {}
        self.digest = hashlib.sha256()

    def fail(self, what: str) -> None:
        if self.violation is None and self.world is not None and not self.world.over:
            self.violation = f"{what} (at {self.world.loop.time():.3f} s)"
            self.world.stop.set()

    def emit(self, record: logging.LogRecord) -> None:
        """A logged traceback is a defect that the code survived; here it does not."""
        if record.exc_info is not None and record.exc_info[0] is not None:
            self.fail(f"defect logged by {record.name}: {record.getMessage()}: {record.exc_info[1]!r}")

    # --- at every commit

    def committed(self, batch: Batch, lines: list[Line]) -> None:
        self.commits += 1
        truth = self.truth
        edited = arrived = False
        for line in lines:
            entry = line.entry
            self.digest.update(line.body)
            self.digest.update(str((entry.at, entry.command_id)).encode())
            try:
                truth.apply(entry)
            except AssertionError as error:
                self.fail(f"the journal does not fold: {error}")
                return
            self._once(entry)
            self._noted(entry.event)
            self._clock(entry)
            edited = edited or isinstance(entry.event, EDITS)
            arrived = arrived or isinstance(entry.event, ev.UnitAtScene)
            self.sla.apply(entry)
        self._rows(batch)
        if lines:
            self._units()
            self._owned()
            if edited or arrived:
                self._not_flattered(arrived)
            self._deadlines(lines[0].writer)

    def _once(self, entry: ev.Entry) -> None:
        key = entry.command_id
        if key is None:
            return
        if self.commands.setdefault(key, self.commits) != self.commits:
            self.fail(f"command {key} was executed twice")
        if isinstance(entry.event, ev.ReportSubmitted):
            if key in self.report_of_key:
                self.fail(f"report under key {key} exists twice")
            self.report_of_key[key] = entry.event.report_id

    def _noted(self, event: ev.AnyEvent) -> None:
        if isinstance(event, ev.IncidentNoted):
            self.notes[event.text] = self.notes.get(event.text, 0) + 1
            if self.notes[event.text] > 1:
                self.fail(f"{event.text} stands in the journal twice")

    def _clock(self, entry: ev.Entry) -> None:
        """First rings never move later, but for a detach or un-merge, which give a report its own incident back."""
        for incident_id in _subjects(entry.event):
            incident = self.truth.incidents.get(incident_id)
            if incident is None:
                continue
            before = self.rings.get(incident_id)
            freed = isinstance(entry.event, ev.ReportDetached | ev.IncidentUnmerged)
            if before is not None and incident.first_ring_at > before and not freed:
                self.fail(f"first ring of {incident_id} moved later by {type(entry.event).__name__}")
            self.rings[incident_id] = incident.first_ring_at
            if isinstance(entry.event, ev.IncidentMerged) and incident_id == entry.event.into:
                own = self.rings.get(entry.event.incident_id)
                if own is not None and incident.first_ring_at > own:
                    self.fail(f"merging into {incident_id} lost an earlier ring")

    def _rows(self, batch: Batch) -> None:
        """Projection rows == fold, row by row, for everything this commit touched (and it must have told all)."""
        assert self.world is not None
        rows = self.world.database.tables.rows
        touched = self.truth.drain_touched()
        for table, _ in ROWS:
            for row_id in getattr(touched, table):
                current = getattr(self.truth, table).get(row_id)
                if current is not None and rows.get((table, row_id)) != encode_row(current):
                    self.fail(f"row {table}/{row_id} is not what the journal says")

    def _units(self) -> None:
        serving: dict[str, str] = {}
        for assignment_id in self.truth.active_ids:
            a = self.truth.assignments[assignment_id]
            if a.unit_id in serving:
                self.fail(f"unit {a.unit_id} serves {serving[a.unit_id]} and {assignment_id}")
            serving[a.unit_id] = assignment_id
        for unit in self.truth.units.values():
            if serving.get(unit.unit_id) != unit.assignment_id:
                self.fail(f"unit {unit.unit_id} says {unit.assignment_id}, its jobs say {serving.get(unit.unit_id)}")
            if (unit.state is UnitState.COMMITTED) != (unit.assignment_id is not None):
                self.fail(f"unit {unit.unit_id} is {unit.state} with job {unit.assignment_id}")

    def _owned(self) -> None:
        for incident_id in self.truth.open_ids:
            if not self.explained(self.truth.incidents[incident_id]):
                self.fail(f"open incident {incident_id} has neither owner nor deadline")

    def explained(self, incident: Incident) -> bool:
        """Somebody serves it, or it is known when or by whom it is looked at again."""
        if self.truth.active_of(incident) or not incident.unfilled:
            return True
        if not incident.confirmed:
            return incident.confirm_due_at is not None or incident.mode == CONFIRM
        return incident.incident_id in self.truth.short_of  # said to be short; `_deadlines` sees that it is tried again

    def _not_flattered(self, arrived: bool) -> None:
        within = self.sla.tally(self.truth.at).within if self.truth.at is not None else 0
        if within > self.sla_within and not arrived:
            self.fail(f"an edit raised the number of responses in time from {self.sla_within} to {within}")
        self.sla_within = within

    def _deadlines(self, writer: uuid.UUID) -> None:
        """The engine that wrote wants to be woken no later than its state demands."""
        assert self.world is not None
        host = self.world.host_of.get(writer)
        engine = host.live.engine if host is not None and host.live is not None else None
        if host is None or engine is None or engine.state.seq != self.truth.seq:
            return
        assert self.truth.at is not None
        # A retry is set by the writer's own clock, which may have been set forward; one that was quiet leaves no line, and
        # what is written now may have waited for the disk while it was retried.
        retried_at = max(self.truth.at + timedelta(seconds=host.clock.ahead_s), host.clock.now())
        wanted = self._soonest(retried_at)
        woken = engine.next_deadline()
        if wanted is not None and (woken is None or woken > max(wanted, self.truth.at)):
            self.fail(f"the engine sleeps until {woken} though something is due at {wanted}")

    def _soonest(self, retried_at: datetime) -> datetime | None:
        target = timedelta(seconds=self.region.limits.target_s)
        due: list[datetime] = []
        for incident_id in self.truth.open_ids:
            incident = self.truth.incidents[incident_id]
            if incident.confirmed and incident.unfilled:
                due.append(retried_at + timedelta(seconds=self.region.limits.retry_s))
            if not incident.confirmed and incident.confirm_due_at is not None:
                due.append(incident.confirm_due_at)
            if (
                incident.highest_priority == 1
                and incident.first_capable_at_scene_at is None
                and incident.breached_at is None
            ):
                due.append(incident.first_ring_at + target)
        for assignment_id in self.truth.active_ids:
            a = self.truth.assignments[assignment_id]
            if a.state is AssignmentState.ALERTED and a.ack_due_at is not None:
                due.append(a.ack_due_at)
        return min(due, default=None)

    # --- at every publication

    def published(self, host: Host, entries: list[ev.Entry]) -> None:
        """What a node shows is in the journal, or in its own spool."""
        assert self.world is not None
        self.published_count += 1
        lines = self.world.database.tables.lines
        for entry in entries:
            body = encode_event(entry.event)
            if entry.seq <= len(lines) and lines[entry.seq - 1].body == body:
                continue
            if self.spooled.get(host.name, {}).get(entry.seq) != body:
                self.fail(f"{host.name} published line {entry.seq}, which is neither in the journal nor in its spool")
                return
        if self.published_count % DIGEST_EVERY == 0:
            self.same_as_truth(host)

    def same_as_truth(self, host: Host) -> None:
        """A node that has read everything shows exactly what the journal says."""
        assert host.live is not None
        shown = host.live.hub.state
        if shown.seq == self.truth.seq and not host.disk.durable and shown.digest() != self.truth.digest():
            self.fail(f"{host.name} shows another state than the fold of the journal at line {shown.seq}")

    def synced(self, host: Host, batches: list[Batch]) -> None:
        """New whole records on a host's disk. A later one of the same number is the one that counts."""
        spooled = self.spooled.setdefault(host.name, {})
        spooled.update({e.seq: encode_event(e.event) for b in batches for e in b.entries})

    # --- at every acknowledgement

    def acknowledged(self, scope: str, key: str, path: str, report_id: str | None) -> None:
        assert self.world is not None
        self.acked[scope, key] = (path, report_id)
        if report_id is not None and path.endswith("/reports") and self.told.setdefault(report_id, key) != key:
            self.fail(f"{report_id} was told to two callers: {key} and {self.told[report_id]}")
        if not self._durable(scope, key):
            self.fail(f"{path} was acknowledged under key {key} but is durable nowhere")

    def _durable(self, scope: str, key: str) -> bool:
        assert self.world is not None
        tables = self.world.database.tables
        if (scope, key) in tables.answers:
            return True
        for host in self.world.hosts:
            host.disk.batches()
            if (scope, key) in host.disk.keys:
                return True
        return any(told["key"] == key for told in map(msgspec.msgpack.decode, tables.orphans.values()))

    def orphaned(self, host: Host, held: list[Batch]) -> None:
        """Spooled lines are given up only when another writer really has their place."""
        assert self.world is not None
        lines = self.world.database.tables.lines
        first = next((b.entries[0] for b in held if b.entries), None)
        if first is not None and (first.seq > len(lines) or lines[first.seq - 1].body == encode_event(first.event)):
            self.fail(f"{host.name} gave up line {first.seq}, whose place nobody took")

    # --- at the end

    def final(self) -> None:
        """After healing: everything acknowledged is in the journal, once, and served or explained."""
        assert self.world is not None
        for (scope, key), (path, report_id) in self.acked.items():
            if not path.endswith(("/reports", "submit_report")):
                if (scope, key) not in self.world.database.tables.answers and key not in self.redecided:
                    self.fail(f"acknowledged {path} under key {key} is lost")
                continue
            found = self.report_of_key.get(key)
            if found is None:
                self.fail(f"acknowledged report under key {key} is lost")
            elif found != report_id and key not in self.redecided:
                self.fail(f"report under key {key} was acknowledged as {report_id} and journaled as {found}")
            elif path.endswith("/reports") and report_id is not None and self._opened_by(report_id) != found:
                self.fail(f"the link given for {report_id} opens {self._opened_by(report_id)}, its report is {found}")
            elif found in self.truth.reports:
                self._report_served(found)
        for text in self.acked_notes:
            if text not in self.notes:
                self.fail(f"acknowledged {text} is lost")
        for host in self.world.hosts:
            self.same_as_truth(host)
            if host.live is None or host.live.hub.state.seq != self.truth.seq:
                self.fail(f"{host.name} has not caught up")

    def _opened_by(self, report_id: str) -> str | None:
        """The report that a caller's link with this id shows, as `intake.status` finds it."""
        assert self.world is not None
        found: str | None = report_id
        while found is not None and found not in self.truth.reports:
            found = self.world.database.tables.renumbered.get(found)
        return found

    def _report_served(self, report_id: str) -> None:
        report = self.truth.reports[report_id]
        if report.state is ReportState.DISMISSED and report.dismissed_for:
            return
        incident = self.truth.incidents.get(report.incident_id or "")
        if incident is None:
            self.fail(f"report {report_id} belongs to no incident")
        elif incident.state in OPEN_STATES and not self.explained(incident):
            self.fail(f"report {report_id} is neither served nor explained")

    def unserved(self) -> list[str]:
        """Open priority-1 incidents that nobody serves and that no shortage explains."""
        open_ones = (self.truth.incidents[i] for i in self.truth.open_ids)
        return [i.incident_id for i in open_ones if i.priority == 1 and not self.explained(i)]


def _subjects(event: ev.AnyEvent) -> Iterable[str]:
    for field in ("incident_id", "into", "out_of"):
        value: Any = getattr(event, field, None)
        if isinstance(value, str):
            yield value


__all__ = ["ACTIVE_ASSIGNMENT_STATES", "Watch"]
