"""Where the command line gets a journal from: a database, or a file of one entry a line. The impure corner of this room."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dispatch.database import create_pool
from dispatch.events import Entry
from dispatch.journal_pg import PostgresJournal
from dispatch.model import Rejected

LINE_BYTES_MAX = 4 * 1024 * 1024  # a recommendation over ten thousand units stays under it
_decoder = msgspec.json.Decoder(Entry)


def read_file(path: Path) -> Iterator[Entry]:
    """Entries of a `.jsonl` or `.jsonl.gz` file as `siaga sla export` writes it. Raises Rejected with the line's number."""
    if not path.is_file():
        raise Rejected("journal_file_missing", "journal", file=path.name)
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        number = 0
        try:
            while line := stream.readline(LINE_BYTES_MAX):
                number += 1
                if line.strip():
                    yield _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError, EOFError) as error:
            raise Rejected("journal_line_unreadable", "journal", file=path.name, line=number, why=str(error)) from error


def write_file(entries: list[Entry], path: Path) -> None:
    """One entry a line; gzip when the name ends in .gz."""
    body = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
    path.write_bytes(gzip.compress(body, mtime=0) if path.suffix == ".gz" else body)


def read_database(dsn: str, region: str) -> list[Entry]:
    """A region's whole journal. Raises what the journal raises when it cannot be reached or does not add up."""

    async def read() -> list[Entry]:
        pool = await create_pool(dsn)
        try:
            journal = PostgresJournal(pool)
            await journal.open(region)
            return [entry async for entry in journal.read(0)]
        finally:
            await pool.close()

    return asyncio.run(read())
