"""Streets between crossings: nodes with exactly two neighbours strung into chains, so a search only queues the crossings.

Nine of ten nodes of a finely cut network are no crossing. A search that walks a chain in one go touches its weights in
memory order and keeps them out of the queue; adding them up one by one, in the order a plain Dijkstra would, gives the same
sums to the last bit.

Chain c runs over nodes n0..nk, `nodes[first[c] + c : first[c + 1] + c + 1]`; its edge i lies between ni and ni+1 and has
slot `first[c] + i`. `ahead[slot]` is the arc ni -> ni+1, `back[slot]` the arc ni+1 -> ni, -1 where the street is one-way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.kernels import compiled

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chains:
    """See the module. Per node: `chain_of` and `place_of` for interior nodes (-1 for crossings); per crossing the chains
    by which others reach it, `entry[entry_first[v]:entry_first[v + 1]]` as 2 * chain + (0 at its n0, 1 at its nk)."""

    first: IntArray
    nodes: IntArray
    ahead: IntArray
    back: IntArray
    chain_of: IntArray
    place_of: IntArray
    entry_first: IntArray
    entry: IntArray

    @classmethod
    def build(cls, n: int, first_out: IntArray, arc_to: IntArray, rev_first: IntArray, rev_from: IntArray) -> Chains:
        """Strings every node and arc into chains; each arc is in exactly one."""
        m = len(arc_to)
        neighbours = np.full((n, 2), -1, np.int32)
        find_interior(first_out, arc_to, rev_first, rev_from, neighbours)
        first, nodes = np.zeros(m + 1, np.int32), np.zeros(2 * m, np.int32)
        ahead, back = np.zeros(m, np.int32), np.zeros(m, np.int32)
        chain_of, place_of = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
        count, slots = string(
            first_out, arc_to, rev_first, rev_from, neighbours, first, nodes, ahead, back, chain_of, place_of
        )
        first, nodes = first[: count + 1].copy(), nodes[: slots + count].copy()
        ahead, back = ahead[:slots].copy(), back[:slots].copy()
        # A crossing is entered at n0 when somebody can drive n1 -> n0, at nk when n(k-1) -> nk.
        at_start = np.flatnonzero(back[first[:-1]] >= 0)
        at_end = np.flatnonzero(ahead[first[1:] - 1] >= 0)
        crossing = np.concatenate([nodes[first[at_start] + at_start], nodes[first[at_end + 1] + at_end]])
        code = np.concatenate([2 * at_start, 2 * at_end + 1])
        order = np.argsort(crossing, kind="stable")
        entry_first = np.zeros(n + 1, np.int32)
        np.cumsum(np.bincount(crossing, minlength=n), out=entry_first[1:])
        return cls(first, nodes, ahead, back, chain_of, place_of, entry_first, code[order].astype(np.int32))

    def weights(self, seconds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Seconds per slot ahead and back from seconds per arc; inf where there is no arc."""
        ahead: FloatArray = np.where(self.ahead >= 0, seconds[self.ahead], np.inf)
        back: FloatArray = np.where(self.back >= 0, seconds[self.back], np.inf)
        return ahead, back


@compiled
def find_interior(first_out: Any, arc_to: Any, rev_first: Any, rev_from: Any, neighbours: Any) -> None:
    """Fill `neighbours` (n, 2) for nodes with exactly two neighbours and no parallel arcs; leave -1 at crossings."""
    for v in range(len(first_out) - 1):
        outs = first_out[v + 1] - first_out[v]
        ins = rev_first[v + 1] - rev_first[v]
        if outs > 2 or ins > 2 or outs + ins == 0:
            continue
        a, b = -1, -1
        plain = True
        for p in range(outs + ins):
            u = arc_to[first_out[v] + p] if p < outs else rev_from[rev_first[v] + p - outs]
            if a < 0 or u == a:
                a = u
            elif b < 0 or u == b:
                b = u
            else:
                plain = False
        if outs == 2 and arc_to[first_out[v]] == arc_to[first_out[v] + 1]:
            plain = False
        if ins == 2 and rev_from[rev_first[v]] == rev_from[rev_first[v] + 1]:
            plain = False
        if plain and b >= 0:
            neighbours[v, 0] = a
            neighbours[v, 1] = b


@compiled
def arc_between(first_out: Any, arc_to: Any, u: int, v: int) -> int:
    """An arc u -> v, -1 if there is none."""
    for p in range(first_out[u], first_out[u + 1]):
        if arc_to[p] == v:
            return p
    return -1


@compiled
def string_one(
    u: int, v: int, chain: int, slots: int, first_out: Any, arc_to: Any, neighbours: Any, first: Any, nodes: Any, ahead: Any,
    back: Any, chain_of: Any, place_of: Any,
) -> int:  # fmt: skip
    """Lay the chain that leaves crossing u through interior node v. Returns the new number of slots."""
    first[chain] = slots
    start = slots
    nodes[slots + chain] = u
    while True:
        ahead[slots] = arc_between(first_out, arc_to, u, v)
        back[slots] = arc_between(first_out, arc_to, v, u)
        slots += 1
        nodes[slots + chain] = v
        if neighbours[v, 0] < 0:
            break
        chain_of[v] = chain
        place_of[v] = slots - start
        following = neighbours[v, 1] if neighbours[v, 0] == u else neighbours[v, 0]
        u = v
        v = following
    first[chain + 1] = slots
    return slots


@compiled
def string(
    first_out: Any, arc_to: Any, rev_first: Any, rev_from: Any, neighbours: Any, first: Any, nodes: Any, ahead: Any, back: Any,
    chain_of: Any, place_of: Any,
) -> Any:  # fmt: skip
    """Lay all chains. Returns (chains, slots). An arc between two crossings is a chain of its own, one direction each."""
    n = len(first_out) - 1
    chains, slots = 0, 0
    # Second round: a ring without any crossing is left over; its first node is made one.
    for ring in range(2):
        for u in range(n):
            if neighbours[u, 0] >= 0:
                if ring == 0 or chain_of[u] >= 0:
                    continue
                neighbours[u, 0] = -1
                neighbours[u, 1] = -1
            elif ring == 1:
                continue
            for p in range(first_out[u], first_out[u + 1]):
                v = arc_to[p]
                if neighbours[v, 0] < 0:
                    first[chains] = slots
                    nodes[slots + chains] = u
                    nodes[slots + chains + 1] = v
                    ahead[slots] = p
                    back[slots] = -1
                    slots += 1
                    chains += 1
                    first[chains] = slots
                elif chain_of[v] < 0:
                    slots = string_one(
                        u,
                        v,
                        chains,
                        slots,
                        first_out,
                        arc_to,
                        neighbours,
                        first,
                        nodes,
                        ahead,
                        back,
                        chain_of,
                        place_of,
                    )
                    chains += 1
            for p in range(rev_first[u], rev_first[u + 1]):
                v = rev_from[p]
                if neighbours[v, 0] >= 0 and chain_of[v] < 0:
                    slots = string_one(
                        u,
                        v,
                        chains,
                        slots,
                        first_out,
                        arc_to,
                        neighbours,
                        first,
                        nodes,
                        ahead,
                        back,
                        chain_of,
                        place_of,
                    )
                    chains += 1
    return chains, slots
