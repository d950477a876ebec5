"""Checks plain node and arc columns and brings them into the graph's order: the one gate every network passes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.grids import IntArray
from geo.router import LIGHTS, M_PER_DEG, REGULAR, FloatArray, Mode, Rejected

# Speed of the straight leg between a position and the network. The city models state theirs; for a city of kampung lanes
# the last metres are walked or crept, so the default is slower (an assumption of this project, stated as such).
OFFROAD_KMH: Mapping[Mode, float] = {LIGHTS: 15.0, REGULAR: 12.0}


@dataclass(frozen=True, slots=True)
class Shapes:
    """Drawn points between the ends of arcs, kept once for both directions of a road: per arc (m,) its piece and whether it
    runs against it; per piece how many points, and all points one piece after the other."""

    piece: npt.NDArray[np.int32]
    against: npt.NDArray[np.bool_]
    points: npt.NDArray[np.int32]
    lon: npt.NDArray[np.float32]  # 1 m at these longitudes, enough to draw
    lat: npt.NDArray[np.float32]

    @classmethod
    def by_arc(cls, counts: npt.ArrayLike, lonlat: npt.ArrayLike) -> Shapes:
        """From points counted by arc, each arc with points of its own: (m,) and (k, 2)."""
        points = np.asarray(counts, np.int32)
        xy = np.asarray(lonlat, np.float32).reshape(-1, 2)
        return cls(np.arange(len(points), dtype=np.int32), np.zeros(len(points), np.bool_), points, xy[:, 0], xy[:, 1])


NODES_MAX = 8_000_000  # int32 arc indices and the 2-core memory budget; a whole province fits


def checked(
    node_lon: npt.ArrayLike, node_lat: npt.ArrayLike, arc_from: npt.ArrayLike, arc_to: npt.ArrayLike,
    length_m: npt.ArrayLike, seconds: Mapping[Mode, npt.ArrayLike], offroad_access: npt.ArrayLike | None,
    arc_name: npt.ArrayLike | None, names: Sequence[str], arc_class: npt.ArrayLike | None, classes: Sequence[str],
    shapes: Shapes | None, m_per_deg: tuple[float, float] | None,
    offroad_kmh: Mapping[Mode, float] | None, source: str,
) -> dict[str, Any]:  # fmt: skip
    """The fields of a RoadGraph from the arguments of `RoadGraph.from_arrays`, which says what they mean.

    Raises Rejected("empty_network" | "bad_coordinates" | "wrong_projection" | "bad_arcs" | "bad_speed" | "too_large").
    """
    lon, lat = np.ascontiguousarray(node_lon, np.float64), np.ascontiguousarray(node_lat, np.float64)
    tail, head = _integers(arc_from), _integers(arc_to)
    length = np.asarray(length_m, np.float64)
    n, m = len(lon), len(tail)
    if n < 2 or m < 1:
        raise Rejected("empty_network", f"{source or 'the network'} holds {n} nodes and {m} arcs; nothing to travel on")
    if n > NODES_MAX:
        raise Rejected("too_large", f"{n} nodes; the limit is {NODES_MAX}: cut the extract to the region")
    _require_degrees(lon, lat, source)
    if len(lat) != n or len(head) != m or len(length) != m or not seconds:
        raise Rejected("bad_arcs", "node or arc columns differ in length, or no travel mode is given")
    if min(tail.min(), head.min()) < 0 or max(tail.max(), head.max()) >= n:
        raise Rejected("bad_arcs", f"an arc names a node outside 0..{n - 1}")
    if not np.all(np.isfinite(length)) or length.min() < 0.0:
        raise Rejected("bad_arcs", "an arc has a negative or missing length")

    keep = np.flatnonzero(tail != head)  # a loop cannot shorten a trip
    order = keep[np.argsort(tail[keep], kind="stable")]
    from_node, to_node, length = tail[order].astype(np.int32), head[order].astype(np.int32), length[order]
    m = len(order)
    if m == 0:
        raise Rejected("empty_network", "every arc starts and ends at the same node")
    base: dict[Mode, FloatArray] = {}
    for mode, column in seconds.items():
        s = np.asarray(column, np.float64)
        if len(s) != len(np.asarray(arc_from)) or np.any(np.isnan(s)) or s.min() < 0.0:
            raise Rejected("bad_speed", f"mode {mode!r} has a missing or negative travel time")
        base[mode] = np.ascontiguousarray(s[order])
    access = np.ones(n, np.bool_) if offroad_access is None else np.asarray(offroad_access).astype(np.bool_)
    if len(access) != n or not access.any():
        raise Rejected("bad_arcs", "no node may be joined from outside the network (offroad_access)")

    name_list = list(names)
    if not name_list or name_list[0] != "":
        raise Rejected("bad_arcs", 'names[0] must be "" (an unnamed road)')
    name_index = np.zeros(m, np.int32) if arc_name is None else np.asarray(arc_name, np.int32)[order]
    class_index = np.zeros(m, np.uint8) if arc_class is None else np.asarray(arc_class, np.uint8)[order]
    if name_index.min() < 0 or name_index.max() >= len(name_list) or class_index.max() >= len(classes):
        raise Rejected("bad_arcs", "an arc names a street or a class that is not in the list")

    first_out = np.zeros(n + 1, np.int32)
    np.cumsum(np.bincount(from_node, minlength=n), out=first_out[1:])
    rev_arc = np.argsort(to_node, kind="stable").astype(np.int32)
    rev_first = np.zeros(n + 1, np.int32)
    np.cumsum(np.bincount(to_node, minlength=n), out=rev_first[1:])
    scale = m_per_deg or (M_PER_DEG * math.cos(math.radians((lat.min() + lat.max()) / 2.0)), M_PER_DEG)
    offroad = dict(offroad_kmh or OFFROAD_KMH)
    for mode in base:
        offroad.setdefault(mode, offroad.get(LIGHTS, OFFROAD_KMH[LIGHTS]))
    shape_first, shape_lon, shape_lat = _pack_shapes(shapes, order)
    return {
        "node_lon": lon, "node_lat": lat, "node_access": access, "first_out": first_out, "arc_from": from_node,
        "arc_to": to_node, "arc_length_m": length, "arc_class": class_index, "arc_name": name_index, "base_s": base,
        "rev_first": rev_first, "rev_arc": rev_arc, "rev_from": from_node[rev_arc], "classes": tuple(classes),
        "names": name_list, "offroad_kmh": offroad, "x_m_per_deg": scale[0], "y_m_per_deg": scale[1],
        "shape_first": shape_first, "shape_lon": shape_lon, "shape_lat": shape_lat,
    }  # fmt: skip


def _integers(column: npt.ArrayLike) -> npt.NDArray[Any]:
    """As they are when they are whole numbers, which saves a copy of a long column."""
    found = np.asarray(column)
    return found if found.dtype.kind == "i" else found.astype(np.int64)


def _require_degrees(lon: FloatArray, lat: FloatArray, source: str) -> None:
    """Refuse missing values, projected metres, and swapped or scattered coordinates, each with its own words."""
    where = source or "the network"
    if not (np.all(np.isfinite(lon)) and np.all(np.isfinite(lat))):
        raise Rejected("bad_coordinates", f"{where} has nodes without coordinates")
    if np.abs(lon).max() > 180.0 or np.abs(lat).max() > 90.0:
        hint = "projected metres" if np.abs(lon).max() > 1000.0 else "latitude and longitude swapped"
        raise Rejected(
            "wrong_projection", f"{where} is not in WGS84 degrees (looks like {hint}); reproject to EPSG:4326"
        )
    span = max(float(np.ptp(lon)), float(np.ptp(lat)))
    if span > LOCAL_SPAN_MAX_DEG:
        raise Rejected(
            "wrong_projection", f"{where} spans {span:.0f} degrees; one region is at most {LOCAL_SPAN_MAX_DEG:.0f}"
        )


LOCAL_SPAN_MAX_DEG = 12.0  # the widest Indonesian province (Papua before the split) spans under 12 degrees


def _pack_shapes(
    shapes: Shapes | None, order: npt.NDArray[np.int64]
) -> tuple[IntArray | None, npt.NDArray[np.float32] | None, npt.NDArray[np.float32] | None]:
    """Points of every arc in the new order of arcs, from its own start to its own end."""
    if shapes is None:
        return None, None, None
    piece, against = shapes.piece[order], shapes.against[order]
    count = shapes.points[piece]
    begin = (np.cumsum(shapes.points, dtype=np.int32) - shapes.points)[piece]
    first = np.zeros(len(order) + 1, np.int32)
    np.cumsum(count, out=first[1:])
    # An arc against its piece starts at the piece's last point and steps back.
    start = np.where(against, begin + count - 1, begin)
    step = np.where(against, -1, 1).astype(np.int32)
    within = np.arange(int(first[-1]), dtype=np.int32) - np.repeat(first[:-1], count)
    at = np.repeat(start, count) + within * np.repeat(step, count)
    return first, shapes.lon[at], shapes.lat[at]
