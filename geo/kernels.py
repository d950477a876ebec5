"""The inner loops: snapping a position to a node, nearest units, one-to-all sweeps, tables of times.

Compiled by numba and kept on disk, so only the first start on a machine pays for compiling. All of them work on plain
CSR arrays: `first[v]:first[v+1]` are the arcs of node v, `ends` their other ends, `w` their seconds (inf = closed). The
searches are Dijkstra's algorithm (Numer. Math. 1, 1959) with a binary heap and lazy deletion. Work arrays are reused
between calls; a bounded search puts back what it touched.
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
def unlink(anchor: int, head: Any, after: Any, before: Any, anchor_node: Any) -> None:
    """Take an anchor out of its node's chain; harmless when it is in none (anchor_node < 0)."""
    node = anchor_node[anchor]
    if node < 0:
        return
    if before[anchor] >= 0:
        after[before[anchor]] = after[anchor]
    else:
        head[node] = after[anchor]
    if after[anchor] >= 0:
        before[after[anchor]] = before[anchor]
    anchor_node[anchor] = -1


@compiled
def link(anchor: int, node: int, head: Any, after: Any, before: Any, anchor_node: Any) -> None:
    """Put an anchor first in its node's chain."""
    after[anchor] = head[node]
    before[anchor] = -1
    if head[node] >= 0:
        before[head[node]] = anchor
    head[node] = anchor
    anchor_node[anchor] = node


@compiled
def place_by_snapping(
    slot: int, px: float, py: float, x: Any, y: Any, cell_m: float, columns: int, rows: int, cell_first: Any,
    cell_nodes: Any, head: Any, after: Any, before: Any, anchor_node: Any, lead_m: Any, lead_arc: Any, offroad_max_m: float,
) -> Any:  # fmt: skip
    """Move a unit to the node nearest to (px, py): one call a GPS fix. Returns (node, off-road metres).

    Beyond `offroad_max_m` the unit stays where it was.
    """
    node, offroad_m = snap(px, py, x, y, cell_m, columns, rows, cell_first, cell_nodes)
    if offroad_m > offroad_max_m:
        return node, offroad_m
    unlink(2 * slot + 1, head, after, before, anchor_node)
    anchor = 2 * slot
    if anchor_node[anchor] != node:
        unlink(anchor, head, after, before, anchor_node)
        link(anchor, node, head, after, before, anchor_node)
    lead_m[anchor] = offroad_m
    lead_arc[anchor] = -1
    return node, offroad_m


@compiled
def nearest_units(
    target: int, target_leg_s: float, k: int, anchors: Any, wanted: Any, s_per_m: float,
    rev_first: Any, rev_from: Any, rev_w: Any, w: Any,
    head: Any, after: Any, lead_m: Any, lead_arc: Any, lead_share: Any,
    dist: Any, touched: Any, keys: Any, nodes: Any,
    unit_eta: Any, unit_stamp: Any, unit_turn: int, found: Any, best_eta: Any, best_slot: Any,
) -> Any:  # fmt: skip
    """Search backwards from `target` until no unit left can be among the k first; exact.

    A unit hangs on one or two nodes (anchors 2*slot, 2*slot+1); its time is the node's time to the target plus its lead:
    an off-road leg and/or a share of the arc it is on. Leads are >= 0, so once a node is further than the k-th best unit
    nothing better can follow. k <= 0 means every unit; `anchors` counts the anchors of each unit, and the search
    ends when those of all wanted units have been seen.

    `dist` (n,) must come filled with inf and is left so; `touched` (n,) is scratch.
    Returns (units found, nodes settled); `found[:n]` are slots whose `unit_eta` is final, ties with the k-th included,
    in no order. Complexity follows the share of the city that must be searched, about k / (units per node), not its size.
    """
    anchors_wanted = 0
    for slot in range(len(wanted)):
        if wanted[slot]:
            anchors_wanted += anchors[slot]
    if anchors_wanted == 0:
        return 0, 0
    n_found = 0
    n_best = 0
    kth = np.inf
    settled = 0
    size = heap_push(keys, nodes, 0, target_leg_s, target)
    dist[target] = target_leg_s
    touched[0] = target
    n_touched = 1
    while size > 0:
        d = keys[0]
        u = nodes[0]
        if d > dist[u]:
            size = heap_drop_first(keys, nodes, size)
            continue
        if d > kth:
            break
        settled += 1
        anchor = head[u]
        while anchor >= 0:
            slot = anchor >> 1
            if wanted[slot]:
                anchors_wanted -= 1
                eta = d + lead_m[anchor] * s_per_m
                arc = lead_arc[anchor]
                if arc >= 0 and lead_share[anchor] > 0.0:
                    eta += lead_share[anchor] * w[arc]
                known = unit_stamp[slot] == unit_turn
                if eta < np.inf and (not known or eta < unit_eta[slot]):
                    if not known:
                        unit_stamp[slot] = unit_turn
                        found[n_found] = slot
                        n_found += 1
                    unit_eta[slot] = eta
                    if k > 0 and (n_best < k or eta < kth):
                        # Keep the k best sorted; k is a handful, so insertion beats a heap.
                        at = -1
                        if known:
                            for b in range(n_best):
                                if best_slot[b] == slot:
                                    at = b
                                    break
                        if at < 0:
                            if n_best < k:
                                n_best += 1
                            at = n_best - 1
                        while at > 0 and best_eta[at - 1] > eta:
                            best_eta[at] = best_eta[at - 1]
                            best_slot[at] = best_slot[at - 1]
                            at -= 1
                        best_eta[at] = eta
                        best_slot[at] = slot
                        if n_best == k:
                            kth = best_eta[k - 1]
            anchor = after[anchor]
        if anchors_wanted <= 0:
            break
        # Most nodes lie along a street and pass on one neighbour: it takes the place of the node just settled, which
        # saves one of two walks through the heap.
        replaced = False
        for p in range(rev_first[u], rev_first[u + 1]):
            v = rev_from[p]
            nd = d + rev_w[p]
            if nd < dist[v] and nd <= kth:
                if dist[v] == np.inf:
                    touched[n_touched] = v
                    n_touched += 1
                dist[v] = nd
                if replaced:
                    size = heap_push(keys, nodes, size, nd, v)
                else:
                    heap_sink(keys, nodes, size, nd, v)
                    replaced = True
        if not replaced:
            size = heap_drop_first(keys, nodes, size)
    for i in range(n_touched):
        dist[touched[i]] = np.inf
    if k > 0 and n_found > k:
        kept = 0
        for f in range(n_found):
            if unit_eta[found[f]] <= kth:
                found[kept] = found[f]
                kept += 1
        n_found = kept
    return n_found, settled


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


@compiled
def many_to_many(
    first: Any,
    ends: Any,
    w: Any,
    sources: Any,
    targets: Any,
    out: Any,
    dist: Any,
    targets_at: Any,
    keys: Any,
    nodes: Any,
) -> None:
    """Seconds from every source node to every target node into `out` (sources, targets), inf = no way.

    One search per source, ended when the last target is settled. `dist` (n,) must come filled with inf and `targets_at`
    (n,) with 0; both are left so.
    """
    for j in range(len(targets)):
        targets_at[targets[j]] += 1
    for i in range(len(sources)):
        left = len(targets)
        dist[sources[i]] = 0.0
        size = heap_push(keys, nodes, 0, 0.0, sources[i])
        while size > 0:
            d = keys[0]
            u = nodes[0]
            size = heap_drop_first(keys, nodes, size)
            if d > dist[u]:
                continue
            left -= targets_at[u]
            if left <= 0:
                break
            for p in range(first[u], first[u + 1]):
                v = ends[p]
                nd = d + w[p]
                if nd < dist[v]:
                    dist[v] = nd
                    size = heap_push(keys, nodes, size, nd, v)
        for j in range(len(targets)):
            out[i, j] = dist[targets[j]]
        dist[:] = np.inf
    for j in range(len(targets)):
        targets_at[targets[j]] = 0
