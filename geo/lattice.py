"""Local streets where none are typed: a lattice inside every block between main roads, water and railways.

Everything here works in local metres and is a pure function of its input: randomness is a hash of the position, so the same
tables give the same streets, byte for byte, on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

# Streets of a kampung run along the block about twice as often as across it.
STRETCH = 1.35
# Share of links left out at random: lanes end at walls, canals and fences. Sets the detour factor (see geo.compare).
GAP_SHARE = 0.22
JITTER_SHARE = 0.10  # of the spacing: lanes are not drawn with a ruler
EXIT_MAX_SHARE = 1.2  # of the spacing: how far an edge node may lie from the road it opens on


@dataclass(frozen=True, slots=True)
class Lattice:
    """Nodes and links of all blocks, and for edge nodes the point of the block's rim they look at."""

    xy: FloatArray  # (n, 2) metres
    link_from: IntArray  # (m,)
    link_to: IntArray
    exit_node: IntArray  # (e,)
    exit_xy: FloatArray  # (e, 2) where the way out meets the rim


def hash01(ix: IntArray, iy: IntArray, salt: int) -> FloatArray:
    """Uniform numbers in [0, 1) from integer positions: splitmix64 (Steele, Lea, Flood 2014, OOPSLA, fig. 17)."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        z = (ix.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) & mask
        z ^= (iy.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)) & mask
        z += np.uint64(salt) * np.uint64(0x165667B19E3779F9)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def main_direction(ring: FloatArray) -> float:
    """Angle in radians, modulo a right angle, along which most of a block's rim runs (length-weighted, period 90 deg)."""
    d = np.diff(ring, axis=0)
    length = np.hypot(d[:, 0], d[:, 1])
    angle = np.arctan2(d[:, 1], d[:, 0])
    return float(np.angle(np.sum(length * np.exp(4j * angle))) / 4.0)


def fill(blocks: list[shapely.Polygon], spacing_m: FloatArray) -> Lattice:
    """A lattice for every block; spacing_m (blocks,) is the mean distance between neighbouring junctions."""
    xy_parts: list[FloatArray] = []
    from_parts: list[IntArray] = []
    to_parts: list[IntArray] = []
    exit_parts: list[IntArray] = []
    rim_parts: list[FloatArray] = []
    count = 0
    for block, s in zip(blocks, spacing_m, strict=True):
        part = _fill_one(block, float(s), count)
        if part is None:
            continue
        xy, link_from, link_to, exits, rims = part
        xy_parts.append(xy)
        from_parts.append(link_from)
        to_parts.append(link_to)
        exit_parts.append(exits)
        rim_parts.append(rims)
        count += len(xy)
    if not xy_parts:
        empty = np.zeros(0, np.int64)
        return Lattice(np.zeros((0, 2)), empty, empty, empty, np.zeros((0, 2)))
    return Lattice(
        np.concatenate(xy_parts),
        np.concatenate(from_parts),
        np.concatenate(to_parts),
        np.concatenate(exit_parts),
        np.concatenate(rim_parts),
    )


def _fill_one(
    block: shapely.Polygon, s: float, first: int
) -> tuple[FloatArray, IntArray, IntArray, IntArray, FloatArray] | None:
    ring = shapely.get_coordinates(block.exterior)
    turn = main_direction(ring)
    c, sn = np.cos(turn), np.sin(turn)
    rot = np.array([[c, -sn], [sn, c]])  # column vectors: local (u, v) -> (x, y) is rot @ (u, v)
    local = ring @ rot
    low, high = local.min(axis=0), local.max(axis=0)
    # The longer side of the block gets the longer step, as house rows do.
    wide = high[0] - low[0] >= high[1] - low[1]
    step = np.array([s * STRETCH, s / STRETCH] if wide else [s / STRETCH, s * STRETCH])
    cells = np.maximum(np.round((high - low) / step).astype(int), 1)
    step = (high - low) / cells
    columns, rows = np.meshgrid(np.arange(-1, cells[0] + 1), np.arange(-1, cells[1] + 1), indexing="ij")
    i, j = columns.ravel(), rows.ravel()
    ground = np.column_stack([low[0] + (i + 0.5) * step[0], low[1] + (j + 0.5) * step[1]])
    key = np.round(ground @ rot.T).astype(np.int64)
    wobble = np.column_stack([hash01(key[:, 0], key[:, 1], 1), hash01(key[:, 0], key[:, 1], 2)]) - 0.5
    xy = (ground + wobble * 2.0 * JITTER_SHARE * step) @ rot.T

    shapely.prepare(block)
    inside = shapely.contains_xy(block, xy[:, 0], xy[:, 1])
    if not inside.any():
        return None
    number = np.full(len(xy), -1, np.int64)
    number[inside] = np.arange(int(inside.sum()))
    grid = np.arange(len(xy)).reshape(columns.shape)
    a = np.concatenate([grid[:-1].ravel(), grid[:, :-1].ravel()])
    b = np.concatenate([grid[1:].ravel(), grid[:, 1:].ravel()])

    both = inside[a] & inside[b]
    la, lb = a[both], b[both]
    whole = shapely.covers(block, shapely.linestrings(np.stack([xy[la], xy[lb]], axis=1)))
    keep = whole & (hash01(key[la].sum(axis=1), key[lb].sum(axis=1), 3) >= GAP_SHARE)
    link_from, link_to = number[la[keep]] + first, number[lb[keep]] + first

    one = inside[a] ^ inside[b]
    near = np.where(inside[a[one]], a[one], b[one])
    far = np.where(inside[a[one]], b[one], a[one])
    rims = np.zeros((0, 2))
    exits = np.zeros(0, np.int64)
    if len(near):
        # Look a full step beyond the last node: a block's corner can hide the rim behind the neighbour's place.
        ahead = xy[near] + (xy[far] - xy[near]) * EXIT_MAX_SHARE
        hit = shapely.intersection(shapely.linestrings(np.stack([xy[near], ahead], axis=1)), block.exterior)
        points, of = shapely.get_coordinates(hit, return_index=True)
        found, at = np.unique(of, return_index=True)  # one rim point per way out, the first when it meets several
        rims = points[at]
        exits = number[near[found]] + first
    return xy[inside], link_from, link_to, exits, rims
