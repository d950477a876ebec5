"""Turn restrictions: a crossing with a forbidden turn becomes several nodes, so that every search stays a search over nodes.

Whoever comes in by a street with a forbidden turn arrives at a copy of the crossing from which only the allowed streets lead
on. A restriction that runs over a street (`via` ways) copies the nodes along it: on the copies drives who came in by its first
street, and they lead out where the others do, less the forbidden end. Exact: a way through the copies is a way that turns
nowhere it may not, and every such way exists. Two consequences. A crossing with copies joins no position (which of the
copies a unit stands at depends on where it came from); the next node of one of its streets does. And a vehicle may still
drive on and turn round at the next node of a two-way street, as drivers do.

Read: relations `type=restriction` with one node or with ways as `via` (OpenStreetMap wiki, Relation:restriction), `no_*` and
`only_*`, unless `except` names emergency vehicles or cars. Not obeyed, and counted: restrictions by time or for lorries.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntColumn = npt.NDArray[np.int64]
LIFT_ROUNDS_MAX = 5
"""Rounds of lifting restrictions that cut streets off; what is still cut off then is dropped and counted."""
VIA_ARCS_MAX = 100
"""Arcs a restriction may run over, some 5 km of street; a longer one is a mistake of the map and would copy all of it."""


class Turn(NamedTuple):
    """One restriction: lines (see geo.polylines) in and out, and between them a point by its reference or lines to drive over."""

    from_line: int
    via_ref: int | None
    to_line: int
    only: bool
    """Nothing but this turn is allowed; False: this turn is forbidden."""
    back: bool = False
    """A forbidden turn back into the street one came by."""
    via_lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Arcs:
    """Directed arcs by columns (m,): nodes, line, and the piece of road (both directions of it share one)."""

    arc_from: IntColumn
    arc_to: IntColumn
    line: IntColumn
    piece: IntColumn


@dataclass(frozen=True, slots=True)
class Placed:
    """One restriction on the network: arcs in the order in which they may not, or only, be driven; and the nodes between them."""

    ways: tuple[tuple[int, ...], ...]
    only: bool
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """The network after splitting: `node_of` (n',) names each node's original, `arc_of` (m',) each arc's."""

    node_of: IntColumn
    arc_of: IntColumn
    arc_from: IntColumn
    arc_to: IntColumn
    split: npt.NDArray[np.bool_]
    """(n',) crossings with copies and the copies: no position joins there."""


Way = tuple[int, ...]
"""Arcs driven one after the other; the beginning of a forbidden way is what a copy remembers."""


def split_crossings(n: int, arcs: Arcs, placed: Sequence[Placed]) -> Split:
    """Put the restrictions into the topology. Those that would leave no way on are passed over.

    A vehicle on a copy has driven the longest beginning of a forbidden way that it could have (Aho, Corasick: Efficient String
    Matching, CACM 18, 1975, with arcs for letters).
    """
    forbidden, leaving = _forbidden(arcs, placed)
    begun = {way[:length] for way in forbidden for length in range(1, len(way) + 1)}

    def remembered(way: Way) -> Way | None:
        return next((way[k:] for k in range(len(way)) if way[k:] in begun), None)

    m = len(arcs.arc_from)
    copy_of: dict[Way, int] = {}
    origins: list[int] = []
    alike: dict[tuple[int, frozenset[int]], int] = {}
    new_arc: list[int] = []
    new_from: list[int] = []
    new_to: list[tuple[int, Way | None]] = []
    for way in sorted(begun):
        via = int(arcs.arc_to[way[-1]])
        banned = {arc for k in range(len(way)) for arc in forbidden.get(way[k:], ())}
        if not set(leaving[via]) - banned:
            banned = set()
        onward = [(arc, remembered((*way, arc))) for arc in leaving[via] if arc not in banned]
        # Streets with the same turns forbidden share a copy, unless what follows depends on the street.
        shared = len(way) == 1 and all(then is None or len(then) == 1 for _, then in onward)
        key = (via, frozenset(banned))
        if shared and key in alike:
            copy_of[way] = alike[key]
            continue
        copy_of[way] = n + len(origins)
        origins.append(via)
        if shared:
            alike[key] = copy_of[way]
        new_arc += [arc for arc, _ in onward]
        new_from += [copy_of[way]] * len(onward)
        new_to += onward
    target = arcs.arc_to.copy()
    for way, copy in copy_of.items():
        if len(way) == 1:
            target[way[0]] = copy
    ends = [int(arcs.arc_to[arc]) if then is None else copy_of[then] for arc, then in new_to]
    arc_of = np.concatenate([np.arange(m), np.array(new_arc, np.int64)])
    node_of = np.concatenate([np.arange(n), np.array(origins, np.int64)])
    split = np.zeros(n + len(origins), np.bool_)
    split[node_of[n:]] = True
    split[n:] = True
    arc_from = np.concatenate([arcs.arc_from, np.array(new_from, np.int64)])
    return Split(node_of, arc_of, arc_from, np.concatenate([target, np.array(ends, np.int64)]), split)


Parts = Callable[[int, IntColumn, IntColumn], tuple[npt.NDArray[np.bool_], int]]
"""Nodes that belong to the network, and how many parts are left out, of (nodes, arc_from, arc_to)."""


@dataclass(frozen=True, slots=True)
class Turned:
    """The split network and what stays of it."""

    split: Split
    kept: npt.NDArray[np.bool_]
    given: int
    placed: int
    lifted: int
    """Restrictions passed over because a street could not be reached or left with them: mistakes of the map, mostly."""

    def notes(self) -> dict[str, float]:
        """For people who import."""
        return {
            "turns_honoured": float(self.placed - self.lifted),
            "turns_not_placed": float(self.given - self.placed),
            "turns_lifted": float(self.lifted),
            "crossings_split": float(len(set(self.split.node_of[self.split.split].tolist()))),
        }


def honour(
    kept: npt.NDArray[np.bool_], arcs: Arcs, turns: Sequence[Turn], node_of_ref: Mapping[int, int], parts: Parts
) -> Turned:
    """Split the crossings; lift again the restrictions around streets that would be cut off. `kept` (n,): the network without
    any restriction."""
    n = len(kept)
    placed = place(arcs, turns, node_of_ref)
    left = placed
    for _ in range(LIFT_ROUNDS_MAX):
        split = split_crossings(n, arcs, left)
        stays, _parts = parts(len(split.node_of), split.arc_from, split.arc_to)
        reached = np.zeros(n, np.bool_)
        np.logical_or.at(reached, split.node_of, stays)
        lost = kept & ~reached
        if not lost.any():
            break
        near = lost.copy()
        near[arcs.arc_to[lost[arcs.arc_from]]] = True
        near[arcs.arc_from[lost[arcs.arc_to]]] = True
        staying = [each for each in left if not near[list(each.nodes)].any()]
        if len(staying) == len(left):
            break
        left = staying
    else:
        split = split_crossings(n, arcs, [])
        stays, left = kept, []
    return Turned(split, stays, len(turns), len(placed), len(placed) - len(left))


def place(arcs: Arcs, turns: Sequence[Turn], node_of_ref: Mapping[int, int]) -> list[Placed]:
    """The restrictions by arcs. Left out: those that name streets or points not in the network, that do not say which of two
    streets they mean, or whose street is not driven that way."""
    vias = {node_of_ref[t.via_ref] for t in turns if t.via_ref is not None and t.via_ref in node_of_ref}
    entering, leaving = _by_end(arcs.arc_to, vias), _by_end(arcs.arc_from, vias)
    over = {line for t in turns if t.via_ref is None for line in (t.from_line, t.to_line, *t.via_lines)}
    of_line = _by_end(arcs.line, over)
    found: list[Placed] = []
    for turn in turns:
        if turn.via_ref is None:
            way = _over_streets(arcs, turn, of_line)
            ways = [] if way is None else [way]
        elif turn.via_ref in node_of_ref:
            via = node_of_ref[turn.via_ref]
            into = [a for a in entering[via] if arcs.line[a] == turn.from_line]
            out = [a for a in leaving[via] if arcs.line[a] == turn.to_line]
            if turn.back and turn.from_line == turn.to_line:
                ways = [(a, b) for a in into for b in out if arcs.piece[a] == arcs.piece[b]]
            else:  # a street that passes through does not say which half is meant
                ways = [(into[0], out[0])] if len(into) == len(out) == 1 else []
        else:
            ways = []
        if ways:
            nodes = tuple(int(arcs.arc_to[a]) for a in ways[0][:-1])
            found.append(Placed(tuple(ways), turn.only, nodes))
    return found


def _over_streets(arcs: Arcs, turn: Turn, of_line: Mapping[int, list[int]]) -> Way | None:
    """The arcs of a restriction that runs over streets: in, along them, and out."""
    between = [a for line in turn.via_lines for a in of_line[line]]
    on_way = _nodes(arcs, between)
    starts = _nodes(arcs, of_line[turn.from_line]) & on_way
    ends = _nodes(arcs, of_line[turn.to_line]) & on_way
    if len(starts) != 1 or len(ends) != 1:
        return None
    (start,), (end,) = starts, ends
    into = [a for a in of_line[turn.from_line] if arcs.arc_to[a] == start]
    out = [a for a in of_line[turn.to_line] if arcs.arc_from[a] == end]
    if start == end or len(into) != 1 or len(out) != 1:
        return None
    came_by: dict[int, int] = {}
    queue = deque([start])
    while queue and end not in came_by:
        at = queue.popleft()
        for arc in between:
            to = int(arcs.arc_to[arc])
            if arcs.arc_from[arc] == at and to != start and to not in came_by:
                came_by[to] = arc
                queue.append(to)
    if end not in came_by:
        return None
    along, at = [came_by[end]], int(arcs.arc_from[came_by[end]])
    while at != start:
        along.append(came_by[at])
        at = int(arcs.arc_from[came_by[at]])
    return None if len(along) > VIA_ARCS_MAX else (into[0], *reversed(along), out[0])


def _nodes(arcs: Arcs, some: Iterable[int]) -> set[int]:
    return {int(node) for a in some for node in (arcs.arc_from[a], arcs.arc_to[a])}


def _forbidden(arcs: Arcs, placed: Sequence[Placed]) -> tuple[dict[Way, set[int]], dict[int, list[int]]]:
    """Way driven -> arcs that may not follow; and the arcs leaving each node on such a way."""
    leaving = _by_end(arcs.arc_from, {node for each in placed for node in each.nodes})
    banned: dict[Way, set[int]] = defaultdict(set)
    allowed: dict[Way, set[int]] = defaultdict(set)
    for each in placed:
        for way in each.ways:
            if each.only:
                for length in range(1, len(way)):
                    allowed[way[:length]].add(way[length])
            else:
                banned[way[:-1]].add(way[-1])
    for way, kept in allowed.items():
        banned[way] |= set(leaving[int(arcs.arc_to[way[-1]])]) - kept
    whole = {way for way, never in banned.items() if not set(leaving[int(arcs.arc_to[way[-1]])]) - never}
    return {way: never for way, never in banned.items() if never and way not in whole}, leaving


def _by_end(ends: IntColumn, wanted: set[int]) -> dict[int, list[int]]:
    """Arcs by one of their columns, for some values of it."""
    found: dict[int, list[int]] = {value: [] for value in wanted}
    if wanted:
        at = np.flatnonzero(np.isin(ends, np.fromiter(wanted, np.int64, len(wanted))))
        for arc, value in zip(at.tolist(), ends[at].tolist(), strict=True):
            found[value].append(arc)
    return found
