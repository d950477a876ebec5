"""The inner loops: snapping a position to a node, one-to-all sweeps, tables of times.

Compiled by numba and kept on disk, so only the first start on a machine pays for compiling. All of them work on plain
CSR arrays: `first[v]:first[v+1]` are the arcs of node v, `ends` their other ends, `w` their seconds (inf = closed). The
searches are Dijkstra's algorithm (Numer. Math. 1, 1959) with a binary heap and lazy deletion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """njit with the on-disk cache and without the GIL; typed so that callers keep their signatures."""
    return cast(F, njit(cache=True, nogil=True, boundscheck=False)(function))


@compiled
def heap_push(keys: Any, nodes: Any, size: int, key: float, node: int) -> int:
    """Insert into the binary heap ordered by (key, node); the caller guarantees room. Returns the new size."""
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if keys[parent] <= key:
            break
        keys[i] = keys[parent]
        nodes[i] = nodes[parent]
        i = parent
    keys[i] = key
    nodes[i] = node
    return size + 1


@compiled
def heap_sink(keys: Any, nodes: Any, size: int, key: float, node: int) -> None:
    """Put an entry in the place of the smallest one."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[i] = keys[child]
        nodes[i] = nodes[child]
        i = child
    keys[i] = key
    nodes[i] = node


@compiled
def heap_drop_first(keys: Any, nodes: Any, size: int) -> int:
    """Remove the smallest entry (read keys[0], nodes[0] before). Returns the new size."""
    size -= 1
    if size > 0:
        heap_sink(keys, nodes, size, keys[size], nodes[size])
    return size


@compiled
def snap(
    px: float, py: float, x: Any, y: Any, cell_m: float, columns: int, rows: int, cell_first: Any, cell_nodes: Any
) -> Any:
    """The indexed node nearest to (px, py) metres and its distance: (node, metres). Ties go to the smaller node."""
    ci = min(max(int(px / cell_m), 0), columns - 1) if px > 0.0 else 0
    cj = min(max(int(py / cell_m), 0), rows - 1) if py > 0.0 else 0
    best = -1
    best_d2 = np.inf
    ring = 0
    while True:
        # Cells of ring r hold nothing nearer than (r - 1) cells: the point (or its foot on the box) lies in cell (ci, cj).
        reach = (ring - 1) * cell_m
        if best >= 0 and reach > 0.0 and reach * reach > best_d2:
            break
        low_i, high_i, low_j, high_j = ci - ring, ci + ring, cj - ring, cj + ring
        if low_i < 0 and low_j < 0 and high_i >= columns and high_j >= rows:
            break
        for j in range(max(low_j, 0), min(high_j, rows - 1) + 1):
            edge = j in (low_j, high_j)
            step = 1 if edge or ring == 0 else high_i - low_i
            for i in range(low_i, high_i + 1, step):
                if i < 0 or i >= columns:
                    continue
                cell = j * columns + i
                for p in range(cell_first[cell], cell_first[cell + 1]):
                    v = cell_nodes[p]
                    dx = x[v] - px
                    dy = y[v] - py
                    d2 = dx * dx + dy * dy
                    if d2 < best_d2 or (d2 == best_d2 and v < best):
                        best_d2 = d2
                        best = v
        ring += 1
    return best, math.sqrt(best_d2)


@compiled
def sweep(
    first: Any, ends: Any, w: Any, source_nodes: Any, source_s: Any, limit_s: float, dist: Any, owner: Any, pred: Any,
    keys: Any, nodes: Any,
) -> int:  # fmt: skip
    """Seconds from the nearest of many sources to every node within `limit_s`, in one pass.

    `dist` (n,) must come filled with inf. `owner` (n,) or empty receives the index of the source that is nearest (one
    of them on ties); `pred` (n,) or empty the arc position (in this CSR) by which a node was reached, -1 at sources.
    Returns how many nodes were settled. `keys`/`nodes` need room for every arc and source.
    """
    size = 0
    for i in range(len(source_nodes)):
        v = source_nodes[i]
        d = source_s[i]
        if d < dist[v] and d <= limit_s:
            dist[v] = d
            if len(owner):
                owner[v] = i
            if len(pred):
                pred[v] = -1
            size = heap_push(keys, nodes, size, d, v)
    settled = 0
    while size > 0:
        d = keys[0]
        u = nodes[0]
        if d > dist[u]:
            size = heap_drop_first(keys, nodes, size)
            continue
        settled += 1
        replaced = False
        for p in range(first[u], first[u + 1]):
            v = ends[p]
            nd = d + w[p]
            if nd < dist[v] and nd <= limit_s:
                dist[v] = nd
                if len(owner):
                    owner[v] = owner[u]
                if len(pred):
                    pred[v] = p
                if replaced:
                    size = heap_push(keys, nodes, size, nd, v)
                else:
                    heap_sink(keys, nodes, size, nd, v)
                    replaced = True
        if not replaced:
            size = heap_drop_first(keys, nodes, size)
    return settled
