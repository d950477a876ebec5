"""Turn restrictions: every search obeys them, exactly as a search over streets instead of crossings would."""

from __future__ import annotations

import heapq
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from geo.nearest import exhaustive_nearest
from geo.osm import load_osm
from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR
from geo.traffic import Restriction, Traffic
from tests.geo.test_osm import osm_xml

LON, LAT, BLOCK = 112.70, -7.30, 0.0008  # blocks of some 88 m: no street gets a node between two crossings
COLUMNS, ROWS = 7, 6

Turn = tuple[int, ...]
"""Crossings one after the other, three or more, that a vehicle may not drive over in this order."""


def relation(
    number: int, into: int, via: int | list[int], out: int, tags: dict[str, str], via_type: str = "node"
) -> str:
    body = "".join(f'<tag k="{k}" v="{v}"/>' for k, v in {"type": "restriction", **tags}.items())
    over = "".join(
        f'<member type="{via_type}" ref="{ref}" role="via"/>' for ref in ([via] if isinstance(via, int) else via)
    )
    return (
        f'<relation id="{number}" version="1"><member type="way" ref="{into}" role="from"/>'
        f'{over}<member type="way" ref="{out}" role="to"/>{body}</relation>'
    )


class Town:
    """A lattice of streets, each between two crossings a way of its own, and restrictions at random."""

    def __init__(self, seed: int, restrictions: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.over_streets = 0
        """Restrictions that run over one street or two."""
        at = {1 + y * COLUMNS + x: (LON + x * BLOCK, LAT + y * BLOCK) for x in range(COLUMNS) for y in range(ROWS)}
        self.ways: dict[int, tuple[list[int], dict[str, str]]] = {}
        self.streets: dict[tuple[int, int], int] = {}
        for a in at:
            for b in (a + 1, a + COLUMNS):
                if b not in at or (b == a + 1 and a % COLUMNS == 0) or rng.random() < 0.08:
                    continue
                way = 100 + len(self.ways)
                kind = ("primary", "secondary", "residential")[int(rng.integers(3))]
                one_way = rng.random() < 0.15
                self.ways[way] = ([a, b], {"highway": kind, **({"oneway": "yes"} if one_way else {})})
                self.streets[a, b] = way
                if not one_way:
                    self.streets[b, a] = way
        self.banned: set[Turn] = set()
        relations = []
        directed = list(self.streets)
        for number in range(restrictions):
            drive = list(directed[int(rng.integers(len(directed)))])
            for _ in range(int(rng.integers(3)) + 1):  # over a point, or over one street or two
                onward = [c for u, c in directed if u == drive[-1] and (len(drive) < 3 or c not in drive)]
                drive += [onward[int(rng.integers(len(onward)))]] if onward else []
            if len(drive) < 3 or len({*drive[:-1]}) < len(drive) - 1 or (len(drive) > 3 and drive[-1] in drive[:-1]):
                continue
            (a, v), (w, b) = drive[:2], drive[-2:]
            draw = rng.random()
            if len(drive) == 3 and b == a:
                kind, banned = "no_u_turn", {tuple(drive)}
            elif draw < 0.3:
                kind = "only_straight_on"
                banned = {
                    (*drive[:length], c)
                    for length in range(2, len(drive))
                    for u, c in directed
                    if u == drive[length - 1] and c != drive[length]
                }
                if any(t[:2] == (a, v) for t in self.banned):
                    continue  # two rules for one street: which holds is another matter
            else:
                kind, banned = "no_left_turn", {tuple(drive)}
            if self.stuck(self.banned | banned):
                continue
            self.banned |= banned
            between: int | list[int] = v
            if len(drive) > 3:
                between = [self.streets[pair] for pair in itertools.pairwise(drive[1:-1])]
                self.over_streets += 1
            via_type = "node" if len(drive) == 3 else "way"
            into, out = self.streets[a, v], self.streets[w, b]
            relations.append(relation(number + 1, into, between, out, {"restriction": kind}, via_type))
        self.xml = osm_xml(self.ways, at)
        self.restricted_xml = self.xml.replace("</osm>", "".join(relations) + "</osm>")

    def stuck(self, banned: set[Turn]) -> bool:
        """Somebody who has driven a certain way finds every street forbidden."""
        for begun in {t[:-1] for t in banned}:
            ends = {c for u, c in self.streets if u == begun[-1]}
            if not ends - {t[-1] for t in banned if begun[len(begun) - len(t) + 1 :] == t[:-1]}:
                return True
        return False

    def read(self, folder: Path) -> tuple[RoadGraph, RoadGraph]:
        """Without and with the restrictions."""
        graphs = []
        for name, text in (("plain.osm", self.xml), ("turns.osm", self.restricted_xml)):
            (folder / name).write_text(text)
            graphs.append(load_osm(folder / name))
        return graphs[0], graphs[1]


def positions(graph: RoadGraph, count: int, seed: int) -> list[tuple[float, float]]:
    """Points up to some 40 m beside crossings."""
    rng = np.random.default_rng(seed)
    nodes = rng.integers(0, graph.n_nodes, count)
    noise = rng.normal(0.0, BLOCK / 5.0, (count, 2))
    return list(
        zip((graph.node_lon[nodes] + noise[:, 0]).tolist(), (graph.node_lat[nodes] + noise[:, 1]).tolist(), strict=True)
    )


def street_search(graph: RoadGraph, start: int, mode: str, banned: set[Turn]) -> dict[int, float]:
    """Seconds from a crossing of the plain network to every other by Dijkstra over ways lately driven, turns obeyed: the yardstick."""
    assert graph.node_ref is not None
    ref = graph.node_ref.tolist()
    seconds = graph.live.forward[mode]
    out = {v: list(range(graph.first_out[v], graph.first_out[v + 1])) for v in range(graph.n_nodes)}
    longest = max(map(len, banned), default=3)
    queue: list[tuple[float, tuple[int, ...]]] = [(float(seconds[a]), (a,)) for a in out[start]]
    heapq.heapify(queue)
    done: set[tuple[int, ...]] = set()
    best = {start: 0.0}
    while queue:
        t, driven = heapq.heappop(queue)
        if driven in done or t == math.inf:
            continue
        done.add(driven)
        v = int(graph.arc_to[driven[-1]])
        best[v] = min(best.get(v, math.inf), t)
        for arc in out[v]:
            way = (*driven, arc)
            over = (ref[graph.arc_from[way[0]]], *(ref[graph.arc_to[a]] for a in way))
            if not any(over[k:] in banned for k in range(len(over) - 2)):
                heapq.heappush(queue, (t + float(seconds[arc]), way[-(longest - 2) :]))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_all_searches_obey_turns_as_a_search_over_streets_does(seed: int, tmp_path: Path) -> None:
    """Sweep, look-up, route and nearest units agree with each other and with the yardstick, between all crossings that join
    positions; also with a street closed."""
    for attempt in itertools.count():
        town = Town(1_000 * attempt + seed, 18)
        plain, graph = town.read(tmp_path)
        if graph.notes["turns_lifted"] == 0.0:
            break  # else another town: the yardstick knows of no lifting
    assert graph.notes["crossings_split"] > 5.0
    assert graph.node_ref is not None
    assert plain.node_ref is not None
    kept = set(graph.node_ref.tolist())
    if seed % 2:
        a, b = (int(graph.node_ref[end[0]]) for end in (graph.arc_from, graph.arc_to))
        for each in (plain, graph):
            arcs = [
                i
                for i in range(each.n_arcs)
                if each.node_ref is not None
                and {int(each.node_ref[each.arc_from[i]]), int(each.node_ref[each.arc_to[i]])} == {a, b}
            ]
            Traffic(each).restrict(Restriction("pasar", tuple(arcs)))
    joinable = np.flatnonzero(graph.node_access).tolist()
    number = {int(r): v for v, r in enumerate(plain.node_ref)}
    compared = 0
    for mode, start in itertools.product((LIGHTS, REGULAR), joinable[::3]):
        sweep = graph.times_from(start, mode)
        table = graph.node_matrix_s([start], joinable, mode)[0]
        expected = street_search(plain, number[int(graph.node_ref[start])], mode, town.banned)
        for column, end in enumerate(joinable):
            ref = int(graph.node_ref[end])
            want = expected.get(number[ref], math.inf)
            path = graph.path_nodes(start, end, mode)
            found = (float(sweep[end]), float(table[column]), math.inf if path is None else float(path.at_s[-1]))
            assert found[0] == pytest.approx(found[1], rel=1e-9)
            assert found[0] == pytest.approx(found[2], rel=1e-4)
            assert found[0] == pytest.approx(want, rel=1e-9), (start, end)
            compared += 1
            if path is not None:
                refs = graph.node_ref[path.nodes].tolist()
                for length in (3, 4, 5):
                    assert not {tuple(refs[k : k + length]) for k in range(len(refs))} & town.banned
    assert compared > 50
    assert town.over_streets > 1
    assert kept == set(plain.node_ref.tolist()), "a crossing was lost"
    fleet = graph.fleet()
    for i, (lon, lat) in enumerate(positions(graph, 8, seed)):
        fleet.place(f"U{i}", lon, lat)
    for lon, lat in positions(graph, 6, seed + 100):
        assert fleet.nearest(lon, lat, 3) == exhaustive_nearest(fleet, lon, lat, 3)
        ids = [f"U{i}" for i in range(8)]
        by_label = dict(zip(ids, fleet.seconds_to(lon, lat, LIGHTS, ids).tolist(), strict=True))
        for unit_id, eta_s in fleet.nearest(lon, lat, None):
            assert by_label[unit_id] == pytest.approx(eta_s, rel=1e-9)


CROSS = {
    1: (LON, LAT),
    2: (LON + BLOCK, LAT),
    3: (LON + 2 * BLOCK, LAT),
    4: (LON + BLOCK, LAT + BLOCK),
    5: (LON + BLOCK, LAT - BLOCK),
    6: (LON + 2 * BLOCK, LAT - BLOCK),
    7: (LON + 2 * BLOCK, LAT + BLOCK),
}
CROSS_WAYS = {
    11: ([1, 2], {"highway": "primary", "name": "Jl. Barat"}),
    12: ([2, 3], {"highway": "primary", "name": "Jl. Timur"}),
    13: ([2, 4], {"highway": "primary", "name": "Jl. Utara"}),
    14: ([2, 5], {"highway": "primary"}),
    15: ([5, 6, 3], {"highway": "primary"}),
    16: ([3, 7, 4], {"highway": "primary", "name": "Jl. Lingkar"}),
}


def cross(tmp_path: Path, *relations: str) -> RoadGraph:
    file = tmp_path / "cross.osm"
    file.write_text(osm_xml(CROSS_WAYS, CROSS).replace("</osm>", "".join(relations) + "</osm>"))
    return load_osm(file)


def eta(graph: RoadGraph, a: int, b: int) -> float:
    return graph.eta_s(*CROSS[a], *CROSS[b], REGULAR) or math.nan


def test_a_route_says_the_way_round_a_forbidden_left_turn(tmp_path: Path) -> None:
    """From the west to the north: straight on and round by the ring, in words and in time; back is as before."""
    free = cross(tmp_path)
    graph = cross(tmp_path, relation(1, 11, 2, 13, {"restriction": "no_left_turn"}))
    assert graph.notes["turns_honoured"] == 1.0
    assert free.route(*CROSS[1], *CROSS[4], REGULAR).names == ["Jl. Barat", "Jl. Utara"]
    round_about = graph.route(*CROSS[1], *CROSS[4], REGULAR)
    assert round_about.names == ["Jl. Barat", "Jl. Timur", "Jl. Lingkar"]
    assert round_about.eta_s == pytest.approx(eta(graph, 1, 4))
    assert eta(graph, 1, 4) > eta(free, 1, 4) * 1.5
    assert eta(graph, 4, 1) == pytest.approx(eta(free, 4, 1))
    assert eta(graph, 1, 3) == pytest.approx(eta(free, 1, 3))


def test_only_straight_on_leaves_no_other_turn(tmp_path: Path) -> None:
    """North and south are reached the long way, and nobody turns back on the spot."""
    free = cross(tmp_path)
    graph = cross(tmp_path, relation(1, 11, 2, 12, {"restriction": "only_straight_on"}))
    assert eta(graph, 1, 4) > eta(free, 1, 4) * 1.5
    assert eta(graph, 1, 5) > eta(free, 1, 5) * 1.5
    assert eta(graph, 1, 3) == pytest.approx(eta(free, 1, 3))


def test_a_turn_forbidden_over_a_street_binds_only_who_came_in_by_its_beginning(tmp_path: Path) -> None:
    """From the west not to the north, and not over the east side into the ring either; from the south as before."""
    no_left = relation(1, 11, 2, 13, {"restriction": "no_left_turn"})
    before = cross(tmp_path, no_left)
    graph = cross(tmp_path, no_left, relation(2, 11, 12, 16, {"restriction": "no_left_turn"}, "way"))
    assert graph.notes["turns_honoured"] == 2.0
    assert eta(graph, 1, 7) > eta(before, 1, 7) * 1.3
    assert eta(graph, 1, 6) == pytest.approx(eta(before, 1, 6))
    assert eta(graph, 5, 7) == pytest.approx(eta(before, 5, 7))
    assert eta(graph, 7, 1) == pytest.approx(eta(before, 7, 1))


def test_only_this_way_over_a_street_leaves_no_other(tmp_path: Path) -> None:
    """From the west over the east side into the ring and nowhere else; from elsewhere everything as before."""
    free = cross(tmp_path)
    graph = cross(tmp_path, relation(1, 11, 12, 16, {"restriction": "only_left_turn"}, "way"))
    assert graph.notes["turns_honoured"] == 1.0
    assert eta(graph, 1, 5) > eta(free, 1, 5) * 1.5
    assert eta(graph, 1, 7) == pytest.approx(eta(free, 1, 7))
    assert eta(graph, 4, 6) == pytest.approx(eta(free, 4, 6))


@pytest.mark.parametrize(
    ("tags", "via_type", "via", "note"),
    [
        ({"restriction": "no_left_turn", "except": "psv;emergency"}, "node", 2, "turns_honoured"),
        ({"restriction:hgv": "no_left_turn"}, "node", 2, "turns_honoured"),
        ({"restriction:conditional": "no_left_turn @ (06:00-09:00)"}, "node", 2, "turns_by_time"),
        ({"restriction": "no_left_turn", "hour_on": "06:00"}, "node", 2, "turns_by_time"),
        ({"restriction": "no_left_turn"}, "way", 15, "turns_not_placed"),
        ({"restriction": "no_left_turn"}, "relation", 12, "turns_not_read"),
        ({"restriction": "no_left_turn"}, "node", 99, "turns_not_placed"),
        ({"restriction": "nonsense"}, "node", 2, "turns_not_read"),
    ],
)
def test_restrictions_that_do_not_bind_or_cannot_be_read_change_nothing_and_are_counted(
    tmp_path: Path, tags: dict[str, str], via_type: str, via: int, note: str
) -> None:
    """Emergency exempt, lorries only, by time, over a street that lies elsewhere, at an unknown point, misspelt."""
    free = cross(tmp_path)
    graph = cross(tmp_path, relation(1, 11, via, 13, tags, via_type))
    assert graph.n_nodes == free.n_nodes
    assert eta(graph, 1, 4) == pytest.approx(eta(free, 1, 4))
    assert graph.notes.get(note, 0.0) == (0.0 if note == "turns_honoured" else 1.0)


def test_restrictions_that_would_cut_a_street_off_are_lifted(tmp_path: Path) -> None:
    """Every way into the western street is forbidden by mistake: a call from there is still reached by road."""
    graph = cross(
        tmp_path,
        *(relation(i, way, 2, 11, {"restriction": "no_right_turn"}) for i, way in enumerate((12, 13, 14), 1)),
        relation(9, 11, 2, 11, {"restriction": "no_u_turn"}),
    )
    assert graph.notes["turns_lifted"] >= 1.0
    assert eta(graph, 3, 1) == pytest.approx(eta(cross(tmp_path), 3, 1))


def test_split_crossings_survive_the_cache(tmp_path: Path) -> None:
    """Saved and mapped again, the forbidden turn is still forbidden."""
    graph = cross(tmp_path, relation(1, 11, 2, 13, {"restriction": "no_left_turn"}))
    graph.save(tmp_path / "kota.roads")
    again = RoadGraph.load(tmp_path / "kota.roads")
    assert eta(again, 1, 4) == eta(graph, 1, 4)
    assert again.route(*CROSS[1], *CROSS[4]).names == graph.route(*CROSS[1], *CROSS[4]).names
