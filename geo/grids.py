"""Where things are on the graph: nodes by square cell for snapping a fix, arcs by square cell for a moving unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geo.nearest_kernels import bucket_arcs
from geo.router import FloatArray

IntArray: TypeAlias = npt.NDArray[np.int32]
NO_INTS: IntArray = np.zeros(0, np.int32)

# Arcs are at most 150 m, and a moving unit is looked for within 40 m: most searches see one to four cells of this size.
ARC_CELL_M = 150.0
NODES_PER_CELL = 2.0  # of the snapping grid: a query looks at about 9 cells
CELLS_A_SIDE_MAX = 4096  # a thin or huge extent must not make millions of empty cells


@dataclass(frozen=True, slots=True)
class SnapGrid:
    """Buckets of nodes by square cell, in metres from the region's lower left corner."""

    cell_m: float
    columns: int
    rows: int
    cell_first: IntArray
    cell_nodes: IntArray

    @classmethod
    def build(cls, x: FloatArray, y: FloatArray, nodes: IntArray) -> SnapGrid:
        width, height = float(x.max()) + 1.0, float(y.max()) + 1.0
        cell_m = max(math.sqrt(width * height * NODES_PER_CELL / max(len(nodes), 1)), 1.0)
        cell_m = max(cell_m, max(width, height) / CELLS_A_SIDE_MAX)
        columns, rows = int(width / cell_m) + 1, int(height / cell_m) + 1
        cell = (y[nodes] / cell_m).astype(np.int64) * columns + (x[nodes] / cell_m).astype(np.int64)
        order = np.argsort(cell, kind="stable")
        first = np.zeros(columns * rows + 1, np.int32)
        np.cumsum(np.bincount(cell, minlength=columns * rows), out=first[1:])
        return cls(cell_m, columns, rows, first, nodes[order].astype(np.int32))


@dataclass(frozen=True, slots=True)
class ArcGrid:
    """Arcs by the square cells they pass, with their ends in local metres: for finding the arc under a moving unit."""

    x1: FloatArray
    y1: FloatArray
    x2: FloatArray
    y2: FloatArray
    cell_m: float
    columns: int
    rows: int
    first: IntArray
    arcs: IntArray

    @classmethod
    def build(cls, x: FloatArray, y: FloatArray, arc_from: IntArray, arc_to: IntArray) -> ArcGrid:
        x1, y1, x2, y2 = x[arc_from], y[arc_from], x[arc_to], y[arc_to]
        width, height = float(x.max()) + 1.0, float(y.max()) + 1.0
        cell_m = max(ARC_CELL_M, max(width, height) / CELLS_A_SIDE_MAX)
        columns, rows = int(width / cell_m) + 1, int(height / cell_m) + 1
        counts = np.zeros(columns * rows + 1, np.int32)
        total = bucket_arcs(x1, y1, x2, y2, cell_m, columns, counts, NO_INTS)
        first = np.cumsum(counts, dtype=np.int32)
        arcs = np.zeros(total, np.int32)
        bucket_arcs(x1, y1, x2, y2, cell_m, columns, first[:-1].copy(), arcs)
        return cls(x1, y1, x2, y2, cell_m, columns, rows, first, arcs)
