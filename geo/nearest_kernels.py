"""The inner loops of the fleet: moving a unit on the graph, and the bounded search for the units nearest to a node.

A unit hangs on one or two nodes by anchors (2 * slot, 2 * slot + 1). The anchors of a node form a doubly linked list: `head`
per node, `after` and `before` per anchor. `chain_units` counts the anchors inside each chain of streets (geo.chains), so
that a search can pass an empty street without looking at its nodes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from geo.kernels import compiled, heap_drop_first, heap_push, heap_sink, snap


@compiled
def unlink(anchor: int, head: Any, after: Any, before: Any, anchor_node: Any, chain_of: Any, chain_units: Any) -> None:
    """Take an anchor out of its node's list; harmless when it is in none (anchor_node < 0)."""
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
    if chain_of[node] >= 0:
        chain_units[chain_of[node]] -= 1


@compiled
def link(
    anchor: int, node: int, head: Any, after: Any, before: Any, anchor_node: Any, chain_of: Any, chain_units: Any
) -> None:
    """Put an anchor first in its node's list."""
    after[anchor] = head[node]
    before[anchor] = -1
    if head[node] >= 0:
        before[head[node]] = anchor
    head[node] = anchor
    anchor_node[anchor] = node
    if chain_of[node] >= 0:
        chain_units[chain_of[node]] += 1


@compiled
def place_by_snapping(
    slot: int, px: float, py: float, x: Any, y: Any, cell_m: float, columns: int, rows: int, cell_first: Any,
    cell_nodes: Any, head: Any, after: Any, before: Any, anchor_node: Any, chain_of: Any, chain_units: Any,
    lead_m: Any, lead_arc: Any, offroad_max_m: float,
) -> Any:  # fmt: skip
    """Move a unit to the node nearest to (px, py): one call a GPS fix. Returns (node, off-road metres).

    Beyond `offroad_max_m` the unit stays where it was.
    """
    node, offroad_m = snap(px, py, x, y, cell_m, columns, rows, cell_first, cell_nodes)
    if offroad_m > offroad_max_m:
        return node, offroad_m
    unlink(2 * slot + 1, head, after, before, anchor_node, chain_of, chain_units)
    anchor = 2 * slot
    if anchor_node[anchor] != node:
        unlink(anchor, head, after, before, anchor_node, chain_of, chain_units)
        link(anchor, node, head, after, before, anchor_node, chain_of, chain_units)
    lead_m[anchor] = offroad_m
    lead_arc[anchor] = -1
    return node, offroad_m


@compiled
def bucket_arcs(x1: Any, y1: Any, x2: Any, y2: Any, cell_m: float, columns: int, first: Any, arcs: Any) -> int:
    """Put every arc into all square cells its bounding box touches. First with empty `arcs` to count into `first[1:]`, then,
    after summing it up, to fill (`first` is then shifted by one cell: its entry is the cell's end). Returns the total."""
    total = 0
    for a in range(len(x1)):
        for j in range(int(min(y1[a], y2[a]) / cell_m), int(max(y1[a], y2[a]) / cell_m) + 1):
            for i in range(int(min(x1[a], x2[a]) / cell_m), int(max(x1[a], x2[a]) / cell_m) + 1):
                cell = j * columns + i
                if len(arcs):
                    arcs[first[cell]] = a
                    first[cell] += 1
                else:
                    first[cell + 1] += 1
                total += 1
    return total


@compiled
def arc_ahead(
    px: float, py: float, heading_deg: float, x1: Any, y1: Any, x2: Any, y2: Any, cell_m: float, columns: int, rows: int,
    first: Any, arcs: Any, radius_m: float, noise_m: float, turn_max_deg: float, turn_noise_deg: float,
) -> Any:  # fmt: skip
    """The arc a vehicle at (px, py) with this heading most likely drives on: (arc or -1, share driven).

    Weighs distance and angle as independent normal errors; smaller arc on ties.
    """
    best, best_share, best_cost = -1, 0.0, np.inf
    for j in range(max(int((py - radius_m) / cell_m), 0), min(int((py + radius_m) / cell_m), rows - 1) + 1):
        for i in range(max(int((px - radius_m) / cell_m), 0), min(int((px + radius_m) / cell_m), columns - 1) + 1):
            cell = j * columns + i
            for p in range(first[cell], first[cell + 1]):
                a = arcs[p]
                dx = x2[a] - x1[a]
                dy = y2[a] - y1[a]
                squared = dx * dx + dy * dy
                if squared == 0.0:
                    continue
                turn = abs((math.degrees(math.atan2(dx, dy)) - heading_deg + 180.0) % 360.0 - 180.0)
                if turn > turn_max_deg:
                    continue
                share = min(max(((px - x1[a]) * dx + (py - y1[a]) * dy) / squared, 0.0), 1.0)
                off_m = math.hypot(px - x1[a] - share * dx, py - y1[a] - share * dy)
                if off_m > radius_m:
                    continue
                cost = (off_m / noise_m) ** 2 + (turn / turn_noise_deg) ** 2
                if cost < best_cost or (cost == best_cost and a < best):
                    best, best_share, best_cost = a, share, cost
    return best, best_share


@compiled
def meet(
    node: int, d: float, k: int, wanted: Any, s_per_m: float, w: Any,
    head: Any, after: Any, lead_m: Any, lead_arc: Any, lead_share: Any,
    unit_eta: Any, unit_stamp: Any, unit_turn: int, found: Any, n_found: int, best_eta: Any, best_slot: Any,
) -> int:  # fmt: skip
    """Note the wanted units that hang on a node `d` seconds from the target. Returns the number of units found so far.

    A unit's time is `d` plus its lead: an off-road leg and/or the rest of the arc it is on. `best_eta[:k]` stays sorted.
    """
    anchor = head[node]
    while anchor >= 0:
        slot = anchor >> 1
        if wanted[slot]:
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
                at = k - 1
                if known and unit_eta[slot] <= best_eta[at]:
                    # It may stand among the best already: move it up from there instead of entering it twice.
                    for b in range(k):
                        if best_slot[b] == slot:
                            at = b
                            break
                unit_eta[slot] = eta
                if eta < best_eta[at]:
                    # Insertion beats a heap: k is a handful, and units come nearly in order.
                    while at > 0 and best_eta[at - 1] > eta:
                        best_eta[at] = best_eta[at - 1]
                        best_slot[at] = best_slot[at - 1]
                        at -= 1
                    best_eta[at] = eta
                    best_slot[at] = slot
        anchor = after[anchor]
    return n_found


@compiled
def nearest_units(
    target: int, target_leg_s: float, k: int, wanted: Any, s_per_m: float, w: Any,
    first: Any, chain_nodes: Any, chain_of: Any, place_of: Any, entry_first: Any, entry: Any, ahead: Any, back: Any,
    head: Any, after: Any, lead_m: Any, lead_arc: Any, lead_share: Any, chain_units: Any,
    dist: Any, touched: Any, keys: Any, nodes: Any,
    unit_eta: Any, unit_stamp: Any, unit_turn: int, found: Any, best_eta: Any, best_slot: Any,
) -> Any:  # fmt: skip
    """Search backwards from `target` until no unit left can be among the k first; exact.

    Leads are >= 0, so once a crossing is further than the k-th best unit nothing better can follow. k <= 0 means every
    wanted unit. Chain arrays as in geo.chains with their seconds `ahead` and `back`; `w` seconds per arc. `dist` (n,) must
    come filled with inf and is left so; `touched` (n,) is scratch.

    Returns (units found, crossings settled); `found[:n]` are slots whose `unit_eta` is final, ties with the k-th included,
    in no order. Cost follows the share of the city that must be searched, about k / (units per crossing), not its size.
    """
    units_wanted = 0
    for slot in range(len(wanted)):
        units_wanted += wanted[slot]
    if units_wanted == 0:
        return 0, 0
    if k <= 0 or k > units_wanted:
        k = units_wanted
    for b in range(k):
        best_eta[b] = np.inf
        best_slot[b] = -1
    last = k - 1
    n_found = 0
    settled = 0
    size = 0
    n_touched = 0
    c = chain_of[target]
    if c < 0:
        dist[target] = target_leg_s
        touched[0] = target
        n_touched = 1
        size = heap_push(keys, nodes, 0, target_leg_s, target)
    else:
        # The target lies within a street: start both ways from it.
        n_found = meet(
            target, target_leg_s, k, wanted, s_per_m, w, head, after, lead_m, lead_arc, lead_share, unit_eta, unit_stamp,
            unit_turn, found, n_found, best_eta, best_slot,
        )  # fmt: skip
        for way in range(2):
            d = target_leg_s
            s = first[c] + place_of[target] - (1 - way)
            while first[c] <= s < first[c + 1]:
                d += back[s] if way == 1 else ahead[s]
                if d > best_eta[last] or d == np.inf:
                    break
                v = chain_nodes[s + c + way]
                if chain_of[v] < 0:
                    if d < dist[v]:
                        if dist[v] == np.inf:
                            touched[n_touched] = v
                            n_touched += 1
                        dist[v] = d
                        size = heap_push(keys, nodes, size, d, v)
                elif head[v] >= 0:
                    n_found = meet(
                        v, d, k, wanted, s_per_m, w, head, after, lead_m, lead_arc, lead_share, unit_eta, unit_stamp,
                        unit_turn, found, n_found, best_eta, best_slot,
                    )  # fmt: skip
                s += 1 if way == 1 else -1
    while size > 0:
        d = keys[0]
        u = nodes[0]
        if d > dist[u]:
            size = heap_drop_first(keys, nodes, size)
            continue
        if d > best_eta[last]:
            break
        settled += 1
        if head[u] >= 0:
            n_found = meet(
                u, d, k, wanted, s_per_m, w, head, after, lead_m, lead_arc, lead_share, unit_eta, unit_stamp,
                unit_turn, found, n_found, best_eta, best_slot,
            )  # fmt: skip
        # The first neighbour passed on takes the place of the crossing just settled: one walk through the heap, not two.
        replaced = False
        for p in range(entry_first[u], entry_first[u + 1]):
            code = entry[p]
            c = code >> 1
            a, b = first[c], first[c + 1]
            occupied = chain_units[c] > 0
            v = chain_nodes[b + c] if code & 1 == 0 else chain_nodes[a + c]
            if not occupied and dist[v] <= d:
                continue
            nd = d
            whole = True
            if code & 1 == 0:
                for s in range(a, b):
                    nd += back[s]
                    if nd > best_eta[last] or nd == np.inf:
                        whole = False
                        break
                    if occupied and s + 1 < b and head[chain_nodes[s + 1 + c]] >= 0:
                        n_found = meet(
                            chain_nodes[s + 1 + c], nd, k, wanted, s_per_m, w, head, after, lead_m, lead_arc, lead_share,
                            unit_eta, unit_stamp, unit_turn, found, n_found, best_eta, best_slot,
                        )  # fmt: skip
            else:
                for s in range(b - 1, a - 1, -1):
                    nd += ahead[s]
                    if nd > best_eta[last] or nd == np.inf:
                        whole = False
                        break
                    if occupied and s > a and head[chain_nodes[s + c]] >= 0:
                        n_found = meet(
                            chain_nodes[s + c], nd, k, wanted, s_per_m, w, head, after, lead_m, lead_arc, lead_share,
                            unit_eta, unit_stamp, unit_turn, found, n_found, best_eta, best_slot,
                        )  # fmt: skip
            if whole and nd < dist[v]:
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
    kept = 0
    for f in range(n_found):
        if unit_eta[found[f]] <= best_eta[last]:
            found[kept] = found[f]
            kept += 1
    return kept, settled
