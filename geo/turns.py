"""Turn restrictions: a crossing with a forbidden turn becomes several nodes, so that every search stays a search over nodes.

Whoever comes in by a street with a forbidden turn arrives at a copy of the crossing from which only the allowed streets lead
on. Exact: a way through the copies is a way that turns nowhere it may not, and every such way exists. Two consequences. A
crossing with copies joins no position (which of the copies a unit stands at depends on where it came from); the next node
of one of its streets does. And a vehicle may still drive on and turn round at the next node of a two-way street, as
drivers do.

Read: relations `type=restriction` with one node as `via` (OpenStreetMap wiki, Relation:restriction), `no_*` and `only_*`,
unless `except` names emergency vehicles or cars. Not read, and counted: `via` ways, restrictions by time or for lorries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntColumn = npt.NDArray[np.int64]
LIFT_ROUNDS_MAX = 5
"""Rounds of lifting restrictions that cut streets off; what is still cut off then is dropped and counted."""


class Turn(NamedTuple):
    """One restriction: lines (see geo.polylines) in and out, the reference of the point between them."""

    from_line: int
    via_ref: int
    to_line: int
    only: bool
    """Nothing but this turn is allowed; False: this turn is forbidden."""
    back: bool = False
    """A forbidden turn back into the street one came by."""


@dataclass(frozen=True, slots=True)
class Arcs:
    """Directed arcs by columns (m,): nodes, line, and the piece of road (both directions of it share one)."""

    arc_from: IntColumn
    arc_to: IntColumn
    line: IntColumn
    piece: IntColumn


@dataclass(frozen=True, slots=True)
class Split:
    """The network after splitting: `node_of` (n',) names each node's original, `arc_of` (m',) each arc's."""

    node_of: IntColumn
    arc_of: IntColumn
    arc_from: IntColumn
    arc_to: IntColumn
    split: npt.NDArray[np.bool_]
    """(n',) crossings with copies and the copies: no position joins there."""
    honoured: int
    """Restrictions that hold."""


def split_crossings(n: int, arcs: Arcs, turns: Sequence[Turn], node_of_ref: Mapping[int, int]) -> Split:
    """Put the restrictions into the topology. Those that name streets not in the network, that do not say which of two
    streets they mean, or that would leave no way on are passed over."""
    forbidden, honoured = _forbidden(arcs, turns, node_of_ref)
    m = len(arcs.arc_from)
    # Streets with the same turns forbidden share a copy.
    copy_of: dict[tuple[int, frozenset[int]], int] = {}
    origins: list[int] = []
    target = arcs.arc_to.copy()
    for arc, banned in forbidden.items():
        via = int(arcs.arc_to[arc])
        key = (via, frozenset(banned))
        if key not in copy_of:
            copy_of[key] = n + len(origins)
            origins.append(via)
        target[arc] = copy_of[key]
    leaving = _by_node(arcs.arc_from, {via for via, _ in copy_of})
    new_arc: list[int] = []
    new_from: list[int] = []
    for (via, banned_there), copy in copy_of.items():
        for arc in leaving[via]:
            if arc not in banned_there:
                new_arc.append(arc)
                new_from.append(copy)
    arc_of = np.concatenate([np.arange(m), np.array(new_arc, np.int64)])
    node_of = np.concatenate([np.arange(n), np.array(origins, np.int64)])
    split = np.zeros(n + len(origins), np.bool_)
    split[node_of[n:]] = True
    split[n:] = True
    arc_from = np.concatenate([arcs.arc_from, np.array(new_from, np.int64)])
    return Split(node_of, arc_of, arc_from, target[arc_of], split, honoured)


Parts = Callable[[int, IntColumn, IntColumn], tuple[npt.NDArray[np.bool_], int]]
"""Nodes that belong to the network, and how many parts are left out, of (nodes, arc_from, arc_to)."""


@dataclass(frozen=True, slots=True)
class Turned:
    """The split network and what stays of it."""

    split: Split
    kept: npt.NDArray[np.bool_]
    given: int
    lifted: int
    """Restrictions passed over because a street could not be reached or left with them: mistakes of the map, mostly."""

    def notes(self) -> dict[str, float]:
        """For people who import."""
        return {
            "turns_honoured": float(self.split.honoured),
            "turns_not_placed": float(self.given - self.lifted - self.split.honoured),
            "turns_lifted": float(self.lifted),
            "crossings_split": float(len(set(self.split.node_of[self.split.split].tolist()))),
        }


def honour(
    kept: npt.NDArray[np.bool_], arcs: Arcs, turns: Sequence[Turn], node_of_ref: Mapping[int, int], parts: Parts
) -> Turned:
    """Split the crossings; lift again the restrictions around streets that would be cut off. `kept` (n,): the network without
    any restriction."""
    n, left = len(kept), list(turns)
    for _ in range(LIFT_ROUNDS_MAX):
        split = split_crossings(n, arcs, left, node_of_ref)
        stays, _parts = parts(len(split.node_of), split.arc_from, split.arc_to)
        reached = np.zeros(n, np.bool_)
        np.logical_or.at(reached, split.node_of, stays)
        lost = kept & ~reached
        if not lost.any():
            break
        near = lost.copy()
        near[arcs.arc_to[lost[arcs.arc_from]]] = True
        near[arcs.arc_from[lost[arcs.arc_to]]] = True
        staying = [t for t in left if t.via_ref not in node_of_ref or not near[node_of_ref[t.via_ref]]]
        if len(staying) == len(left):
            break
        left = staying
    else:
        split = split_crossings(n, arcs, [], node_of_ref)
        stays, left = kept, []
    return Turned(split, stays, len(turns), len(turns) - len(left))


def _forbidden(
    arcs: Arcs, turns: Sequence[Turn], node_of_ref: Mapping[int, int]
) -> tuple[dict[int, set[int]], int]:  # fmt: skip
    """Arc into a crossing -> arcs that may not follow; and how many restrictions that puts in force."""
    vias = {node_of_ref[t.via_ref] for t in turns if t.via_ref in node_of_ref}
    entering, leaving = _by_node(arcs.arc_to, vias), _by_node(arcs.arc_from, vias)
    banned: dict[int, set[int]] = defaultdict(set)
    allowed: dict[int, set[int]] = defaultdict(set)
    honoured = 0
    for turn in turns:
        via = node_of_ref.get(turn.via_ref)
        if via is None:
            continue
        into = [a for a in entering[via] if arcs.line[a] == turn.from_line]
        out = [a for a in leaving[via] if arcs.line[a] == turn.to_line]
        if turn.back and turn.from_line == turn.to_line:
            pairs = [(a, b) for a in into for b in out if arcs.piece[a] == arcs.piece[b]]
            for a, b in pairs:
                banned[a].add(b)
            honoured += bool(pairs)
            continue
        if len(into) != 1 or len(out) != 1:
            continue  # a street that passes through: which half is meant is not said; or it is not driven in that direction
        (allowed if turn.only else banned)[into[0]].add(out[0])
        honoured += 1
    for arc, kept in allowed.items():
        banned[arc] |= set(leaving[int(arcs.arc_to[arc])]) - kept
    whole = {arc for arc, never in banned.items() if not set(leaving[int(arcs.arc_to[arc])]) - never}
    return {arc: never for arc, never in banned.items() if never and arc not in whole}, honoured


def _by_node(ends: IntColumn, nodes: set[int]) -> dict[int, list[int]]:
    """Arcs by one of their ends, for some nodes."""
    found: dict[int, list[int]] = {node: [] for node in nodes}
    if nodes:
        at = np.flatnonzero(np.isin(ends, np.fromiter(nodes, np.int64, len(nodes))))
        for arc, node in zip(at.tolist(), ends[at].tolist(), strict=True):
            found[node].append(arc)
    return found
