"""The journal: what happened, in order, for ever. Protocol, line codec with up-casters, and the in-memory journal.

`journal_pg.py` holds the PostgreSQL journal; `tests/contract/` runs the same cases on both. A journal serves one
region; `seq` starts at 1 and has no gaps. `append` is all or nothing, and repeating the *same* batch is safe: lines
that this writer has already written are recognised and not written twice, so an append whose outcome was lost with
the connection is simply tried again.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from dispatch.commands import AnyCommand
from dispatch.events import KINDS, AnyEvent, Entry, Event
from dispatch.model import Actor, Assignment, Incident, Report, Unit

SNAPSHOTS_KEPT = 3
"""The newest may be damaged or written by a version we had to take back; two older ones cost little disk."""
ABOUT_LINES_MAX = 5000
"""Longest timeline answered at once; a day-long flood with a hundred units stays under it."""
SUBJECT_FIELDS = ("incident_id", "assignment_id", "report_id", "unit_id")


class JournalFenced(Exception):  # noqa: N818
    """Another writer has appended our `seq`: this process no longer leads the region and must step down."""


class JournalGap(JournalFenced):
    """The line before ours is missing: the database is behind our memory (a lagging replica was promoted)."""


class JournalUnavailable(Exception):  # noqa: N818
    """The database cannot be reached, or refused for a passing reason. Keep the batch and append it again unchanged.

    Nothing was appended, or everything was and only the confirmation was lost; the repeat finds out which.
    """


class JournalCorrupt(Exception):  # noqa: N818
    """A stored line cannot be understood: unknown kind without an up-caster, or a body that does not decode."""


class Answer(msgspec.Struct, frozen=True):
    """What was answered to a command with an idempotency key, so that a repeat gets the same answer."""

    scope: str
    """Who asked: account, unit or device; a key of one is nothing to another."""
    key: str
    body_hash: str
    """Of the request's body: the same key with another body is refused."""
    status: int
    body: bytes
    at: datetime


class Rows(msgspec.Struct):
    """Projection rows as they stand after the batch; each replaces the row with its id."""

    reports: list[Report] = []
    incidents: list[Incident] = []
    units: list[Unit] = []
    assignments: list[Assignment] = []


class Told(msgspec.Struct, frozen=True):
    """A command as it was given; only the spool keeps it, to give it again when another leader took over meanwhile."""

    command: AnyCommand
    actor: Actor
    key: str | None
    body_hash: str
    outcome: bytes = b""
    """What was answered: ids in it may stand in later commands of the same caller."""


class Batch(msgspec.Struct):
    """What one group commit writes: lines in order of `seq`, changed rows, idempotency answers."""

    entries: list[Entry]
    rows: Rows = msgspec.field(default_factory=Rows)
    answers: list[Answer] = []
    told: list[Told] = []


class Journal(Protocol):
    """One region's journal."""

    async def open(self, region: str) -> None:
        """Bind to a region. Raises JournalUnavailable."""

    async def append(self, batch: Batch) -> None:
        """Write the batch in one transaction; durable when this returns.

        Raises JournalFenced (another writer was there first), JournalGap, JournalUnavailable.
        """

    async def last_seq(self) -> int:
        """`seq` of the last line, 0 when empty."""

    def read(self, after: int, upto: int | None = None) -> AsyncIterator[Entry]:
        """Lines with after < seq <= upto, in order, old kinds up-cast. Raises JournalCorrupt, also on a gap."""

    async def about(self, ids: list[str], since: datetime, until: datetime) -> list[Entry]:
        """The timeline of a subject: lines from `since` to `until` that name one of `ids` as their incident,
        assignment, report or unit, in order, at most ABOUT_LINES_MAX.
        """

    async def save_snapshot(self, seq: int, at: datetime, body: bytes) -> None:
        """Keep `body`, the state after line `seq`; the last SNAPSHOTS_KEPT stay."""

    async def latest_snapshot(self) -> tuple[int, datetime, bytes] | None:
        """(seq, at, body) of the newest snapshot."""

    async def answers_since(self, at: datetime) -> list[Answer]:
        """Answers given at or after `at`, oldest first."""

    async def close(self) -> None:
        """Let go of everything held."""


# --- lines to bytes and back

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes the body of an old kind (with its `kind`) and returns the body of a newer one (with its new `kind`)."""

UPCASTERS: dict[str, Upcaster] = {}
"""Retired kind -> how it reads today. Never remove one: some journal somewhere still has it."""

_encoder = msgspec.json.Encoder()
_decoders: dict[str, msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(type_) for kind, type_ in KINDS.items()}


def kind_of(event: Event) -> str:
    """The tag under which an event is journaled."""
    return str(type(event).__struct_config__.tag)


def encode_event(event: AnyEvent) -> bytes:
    """An event as the JSON text that is stored, `kind` included. Equal events give equal bytes."""
    return without_nul(_encoder.encode(event))


_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def without_nul(text: bytes) -> bytes:
    """JSON text with U+FFFD for every NUL, which PostgreSQL's text cannot hold. The API refuses NUL at the door; this
    is for whatever comes another way, because a line that cannot be written would stop the region.
    """
    return _NUL.sub(rb"\1\\ufffd", text) if b"\\u0000" in text else text


def decode_event(kind: str, body: bytes, upcasters: Mapping[str, Upcaster] = UPCASTERS) -> AnyEvent:
    """The stored JSON as an event of today. Raises JournalCorrupt."""
    try:
        decoder = _decoders.get(kind)
        if decoder is not None:
            event: AnyEvent = decoder.decode(body)
            return event
        fields = msgspec.json.decode(body, type=dict[str, Any])
        for _ in range(len(upcasters)):  # a chain visits each retired kind once at most
            if kind in KINDS:
                break
            if kind not in upcasters:
                raise JournalCorrupt(f"no such kind of event: {kind}")
            fields = upcasters[kind](fields)
            kind = str(fields["kind"])
        if kind not in KINDS:
            raise JournalCorrupt(f"up-casters do not reach a current kind: {kind}")
        current: AnyEvent = msgspec.convert(fields, KINDS[kind])  # type: ignore[assignment]
        return current
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
        raise JournalCorrupt(f"body of a {kind} does not decode: {error}") from error


def check_contiguous(entries: list[Entry], region: str) -> None:
    """A writer's own batch must be of its region and without gaps; anything else is a programmer's mistake."""
    for index, entry in enumerate(entries):
        if entry.region != region or entry.seq != entries[0].seq + index or entry.seq < 1:
            raise AssertionError(
                f"line {entry.region}/{entry.seq} cannot stand at place {index} of a batch of {region}"
            )


# --- in memory


class MemoryStore:
    """What several in-memory journals share, as several processes share a database."""

    def __init__(self) -> None:
        self.lines: dict[str, list[tuple[uuid.UUID, datetime, str, bytes, Entry]]] = {}
        self.rows: dict[str, dict[tuple[str, str], bytes]] = {}
        self.snapshots: dict[str, list[tuple[int, datetime, bytes]]] = {}
        self.answers: dict[str, dict[tuple[str, str], Answer]] = {}


class MemoryJournal:
    """A journal for simulation and tests: same rules, nothing durable. Journals on one store see each other's lines."""

    def __init__(self, store: MemoryStore | None = None, writer: uuid.UUID | None = None) -> None:
        self.store = store or MemoryStore()
        self.writer = writer or uuid.uuid4()
        self.region = ""

    async def open(self, region: str) -> None:
        self.region = region

    async def append(self, batch: Batch) -> None:
        check_contiguous(batch.entries, self.region)
        lines = self.store.lines.setdefault(self.region, [])
        entries = batch.entries
        if entries:
            if entries[0].seq > len(lines) + 1:
                raise JournalGap(f"line {entries[0].seq - 1} of {self.region} is missing")
            stored = lines[entries[0].seq - 1 : entries[-1].seq]
            for line, entry in zip(stored, entries, strict=False):
                if line[0] != self.writer or line[3] != encode_event(entry.event):
                    raise JournalFenced(f"line {entry.seq} of {self.region} is another writer's")
            entries = entries[len(stored) :]
        answers = self.store.answers.setdefault(self.region, {})
        for answer in batch.answers:
            answers.setdefault((answer.scope, answer.key), answer)
        if batch.entries and not entries:
            return  # written before, with its rows; by now another writer's may be newer
        lines.extend((self.writer, e.at, kind_of(e.event), encode_event(e.event), e) for e in entries)
        rows = self.store.rows.setdefault(self.region, {})
        for report in batch.rows.reports:
            rows["report", report.report_id] = _encoder.encode(report)
        for incident in batch.rows.incidents:
            rows["incident", incident.incident_id] = _encoder.encode(incident)
        for unit in batch.rows.units:
            rows["unit", unit.unit_id] = _encoder.encode(unit)
        for assignment in batch.rows.assignments:
            rows["assignment", assignment.assignment_id] = _encoder.encode(assignment)

    async def last_seq(self) -> int:
        return len(self.store.lines.get(self.region, []))

    async def read(self, after: int, upto: int | None = None) -> AsyncIterator[Entry]:
        lines = self.store.lines.get(self.region, [])
        for _, _, kind, body, entry in lines[after:upto]:
            yield msgspec.structs.replace(entry, event=decode_event(kind, body))

    async def about(self, ids: list[str], since: datetime, until: datetime) -> list[Entry]:
        entries = [line[4] for line in self.store.lines.get(self.region, []) if since <= line[1] <= until]
        found = [e for e in entries if any(getattr(e.event, field, None) in ids for field in SUBJECT_FIELDS)]
        return found[:ABOUT_LINES_MAX]

    async def save_snapshot(self, seq: int, at: datetime, body: bytes) -> None:
        kept = self.store.snapshots.setdefault(self.region, [])
        kept[:] = sorted([s for s in kept if s[0] != seq] + [(seq, at, body)])[-SNAPSHOTS_KEPT:]

    async def latest_snapshot(self) -> tuple[int, datetime, bytes] | None:
        kept = self.store.snapshots.get(self.region)
        return kept[-1] if kept else None

    async def answers_since(self, at: datetime) -> list[Answer]:
        answers = self.store.answers.get(self.region, {}).values()
        return sorted((a for a in answers if a.at >= at), key=lambda a: (a.at, a.scope, a.key))

    async def close(self) -> None:
        return None
