"""A road graph on disk: one file, memory-mapped at start, refused when it is not exactly what this version wrote.

Layout: 8 bytes magic, 8 bytes header length, JSON header (format, names, meta, array table, checksum), then the arrays,
each at a multiple of 64 bytes. Written to a temporary name and renamed, so a killed import leaves no half file. The
contraction order of the route search lies beside it in a folder of the same name ending in .cch.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from geo.chains import Chains
from geo.labels import KEPT
from geo.roads import RoadGraph
from geo.router import Rejected

MAGIC = b"SIAGAROD"
FORMAT = 3  # raise when a field or its meaning changes; older files are then refused and rebuilt from their source
READABLE = (2, FORMAT)  # 2 lacks the labels' hierarchy, which is then built at every start: 0.2 s more for Surabaya
ALIGN = 64
HEADER_MAX = 64 * 1024 * 1024  # street names of a province are a few MB; more means damage

ARRAYS = (
    "node_lon", "node_lat", "node_access", "first_out", "arc_from", "arc_to", "arc_length_m", "arc_class", "arc_name",
    "rev_first", "rev_arc", "rev_from",
)  # fmt: skip
OPTIONAL_ARRAYS = ("node_ref", "shape_first", "shape_lon", "shape_lat")


class ArrayEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one array lies, counted from the start of the array part."""

    name: str
    dtype: str
    shape: list[int]
    offset: int


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds beside the arrays."""

    format: int
    region: str
    source: str
    licence: str
    approximate: bool
    classes: list[str]
    names: list[str]
    offroad_kmh: dict[str, float]
    m_per_deg: tuple[float, float]
    notes: dict[str, float]
    arrays: list[ArrayEntry]
    payload_bytes: int
    payload_crc32: int


def save(graph: RoadGraph, file: Path) -> None:
    """Write `graph` and its route search order to `file` (+ .cch)."""
    arrays: dict[str, np.ndarray[Any, Any]] = {name: getattr(graph, name) for name in ARRAYS}
    arrays |= {name: getattr(graph, name) for name in OPTIONAL_ARRAYS if getattr(graph, name) is not None}
    arrays |= {f"chains:{f.name}": getattr(graph.chains, f.name) for f in fields(Chains)}
    arrays |= {f"labels:{name}": getattr(graph.hierarchy, name) for name in KEPT}
    arrays |= {f"base_s:{mode}": seconds for mode, seconds in graph.base_s.items()}
    entries, offset = [], 0
    for name, array in arrays.items():
        entries.append(ArrayEntry(name, array.dtype.str, list(array.shape), offset))
        offset += -(-array.nbytes // ALIGN) * ALIGN
    crc32 = 0
    for part in _padded(arrays.values()):
        crc32 = zlib.crc32(part, crc32)
    described = Header(
        format=FORMAT,
        region=graph.region,
        source=graph.source,
        licence=graph.licence,
        approximate=graph.approximate,
        classes=list(graph.classes),
        names=graph.names,
        offroad_kmh=graph.offroad_kmh,
        m_per_deg=(graph.x_m_per_deg, graph.y_m_per_deg),
        notes=graph.notes,
        arrays=entries,
        payload_bytes=offset,
        payload_crc32=crc32,
    )
    header = msgspec.json.encode(described)
    header += b" " * (-(len(MAGIC) + 8 + len(header)) % ALIGN)
    file.parent.mkdir(parents=True, exist_ok=True)
    # The order first: a graph file beside a stale order would route wrongly, an order without a graph is only unused.
    order, new_order = file.with_suffix(".cch"), file.with_suffix(".cch.new")
    shutil.rmtree(new_order, ignore_errors=True)
    new_order.mkdir()
    graph.paths.save_topology(str(new_order))
    new_file = file.with_suffix(file.suffix + ".new")
    with new_file.open("wb") as out:
        out.write(MAGIC + len(header).to_bytes(8, "little") + header)
        for part in _padded(arrays.values()):
            out.write(part)
        out.flush()
        os.fsync(out.fileno())
    file.unlink(missing_ok=True)
    shutil.rmtree(order, ignore_errors=True)
    new_order.rename(order)
    new_file.rename(file)


def _padded(arrays: Iterable[np.ndarray[Any, Any]]) -> Iterator[bytes | memoryview]:
    """The array part of the file, piece by piece: nothing is held twice."""
    for array in arrays:
        yield np.ascontiguousarray(array).view(np.uint8).reshape(-1).data
        yield bytes(-array.nbytes % ALIGN)


def load(file: Path) -> RoadGraph:
    """Map `file` into memory. Raises Rejected("missing_file" | "bad_cache" | "old_cache")."""
    header, start = read_header(file)
    if file.stat().st_size != start + header.payload_bytes:
        raise Rejected("bad_cache", f"{file} is cut short or padded; import the roads again")
    # Copy-on-write: pages are shared with the file until someone writes, which nobody does; a read-only map would give
    # numba another array type and with it a second compilation of every kernel.
    payload = np.memmap(file, np.uint8, mode="c", offset=start, shape=(header.payload_bytes,))
    if zlib.crc32(payload.data) != header.payload_crc32:
        raise Rejected("bad_cache", f"{file} is damaged (checksum); import the roads again")
    arrays: dict[str, Any] = {}
    for entry in header.arrays:
        arrays[entry.name] = np.ndarray(tuple(entry.shape), np.dtype(entry.dtype), payload.data, entry.offset)
    base_s = _taken(arrays, "base_s:")
    chains = _taken(arrays, "chains:")
    labelled = _taken(arrays, "labels:") or None
    whole = all(name in arrays for name in ARRAYS) and all(f.name in chains for f in fields(Chains))
    if not base_s or not whole or (labelled is not None and set(labelled) != set(KEPT)):
        raise Rejected("bad_cache", f"{file} lacks arrays; import the roads again")
    return RoadGraph(
        **arrays, base_s=base_s, strung=Chains(**chains), labelled=labelled, classes=tuple(header.classes), names=header.names, offroad_kmh=header.offroad_kmh,
        x_m_per_deg=header.m_per_deg[0], y_m_per_deg=header.m_per_deg[1], region=header.region, source=header.source,
        licence=header.licence, approximate=header.approximate, notes=header.notes, cache_path=file,
    )  # fmt: skip


def _taken(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Move the arrays of one family out of the rest, by the name behind the prefix."""
    return {name.removeprefix(prefix): arrays.pop(name) for name in list(arrays) if name.startswith(prefix)}


def read_header(file: Path) -> tuple[Header, int]:
    """The header and where the arrays start, without reading them."""
    try:
        with file.open("rb") as stream:
            lead = stream.read(len(MAGIC) + 8)
            size = int.from_bytes(lead[len(MAGIC) :], "little")
            if lead[: len(MAGIC)] != MAGIC or len(lead) < len(MAGIC) + 8 or size > HEADER_MAX:
                raise Rejected("bad_cache", f"{file} is not a road cache of this program")
            raw = stream.read(size)
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    try:
        version = msgspec.json.decode(raw).get("format")
        if version not in READABLE:
            raise Rejected(
                "old_cache", f"{file} has format {version}, this program writes {FORMAT}; import the roads again"
            )
        header = msgspec.json.decode(raw, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError) as error:
        raise Rejected("bad_cache", f"{file} has a damaged header: {error}") from None
    return header, len(lead) + size
