"""Reads a JEMSS city model (a folder of CSV files) into a road table, a region, a demand map and a list of calls.

The format is described in each city's own README: seconds, WGS84 degrees, 1-based node numbers. Speeds off the road, map
scale and the redispatch rule stand only in that README's prose, so they are parsed from it and must be there.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from dispatch.model import Rejected
from dispatch.region import AUTO, Hospital, Kind, Limits, Plan, Post, Region, Slot, UnitSpec, UnitType, Zone
from geo.router import LIGHTS, REGULAR, FloatArray
from simulators.net import IntArray, TravelNet

DEFAULT_DEADLINE_S = 480.0
AMBULANCE = "ambulance"


@dataclass(frozen=True)
class Calls:
    """A list of emergencies with everything that will happen to them; only the world may look inside.

    All columns have one entry a call, ordered by `t_sec`; `node` is 0-based.
    """

    t_sec: FloatArray
    priority: IntArray
    lon: FloatArray
    lat: FloatArray
    node: IntArray
    offroad_m: FloatArray
    dispatch_delay_s: FloatArray
    on_scene_s: FloatArray
    transport: npt.NDArray[np.bool_]
    handover_s: FloatArray
    kind: list[str]
    zone: IntArray
    """Index of the demand cell the call lies in, for the worst-tenth table."""

    def __len__(self) -> int:
        return len(self.t_sec)


@dataclass(frozen=True)
class DemandMap:
    """Where calls come from: cells with a share each (sums to 1), and the fine raster calls are drawn from."""

    lon: FloatArray
    lat: FloatArray
    share: FloatArray
    raster_lon: FloatArray
    raster_lat: FloatArray
    raster_weight: FloatArray
    raster_cell_deg: tuple[float, float]


@dataclass(frozen=True)
class CallProcess:
    """What the README says about the arrival of calls; parameters of the generator in `demand.py`."""

    per_day: float
    priority_share: tuple[float, float, float]
    dispatch_delay_s: float
    on_scene_mean_s: float
    transport_share: float
    handover_mean_s: float
    handover_shape: float
    """Weibull shape; 1 is the exponential distribution."""


@dataclass(frozen=True)
class City:
    name: str
    folder: Path
    net: TravelNet
    region: Region
    demand: DemandMap
    process: CallProcess
    target_s: dict[int, float]


def read_city(folder: Path) -> City:
    """Read a city folder. Raises Rejected("bad_city", file) when a file is missing or a fact is not to be found."""
    if not (folder / "nodes.csv").is_file():
        raise Rejected("bad_city", "nodes.csv", folder=folder.name)
    readme = (folder / "README.md").read_text()
    lights = _fact(readme, r"lights ([\d.]+) km/h", folder)
    regular = _fact(readme, r"regular ([\d.]+) km/h", folder)
    scale_x = _fact(readme, r"Map scale: x ([\d.]+) km/deg", folder) * 1000.0
    scale_y = _fact(readme, r"y ([\d.]+) km/deg", folder) * 1000.0
    nodes = _table(folder / "nodes.csv")
    arcs = _table(folder / "arcs.csv")
    if not np.array_equal(nodes[:, 0], np.arange(1, len(nodes) + 1)):
        raise Rejected("bad_city", "nodes.csv", expected="node numbers 1..n in order")
    net = TravelNet(
        lon=nodes[:, 1].copy(),
        lat=nodes[:, 2].copy(),
        access=nodes[:, 3] == 1,
        tail=arcs[:, 0].astype(np.int64) - 1,
        head=arcs[:, 1].astype(np.int64) - 1,
        arc_s={LIGHTS: arcs[:, 3].copy(), REGULAR: arcs[:, 4].copy()},
        offroad_kmh={LIGHTS: lights, REGULAR: regular},
        m_per_deg=(scale_x, scale_y),
    )
    cells = _table(folder / "demand_500m.csv")
    raster = np.load(folder / "demand_raster.npz")
    demand = DemandMap(
        cells[:, 0].copy(), cells[:, 1].copy(), cells[:, 2] / cells[:, 2].sum(),
        raster["lon"], raster["lat"], raster["weight"], (float(raster["cell"][0]), float(raster["cell"][1])),
    )  # fmt: skip
    target_s = {int(row["priority"]): float(row["target_response_sec"]) for row in _rows(folder / "priorities.csv")}
    return City(folder.name, folder, net, _region(folder, nodes, target_s), demand, _process(readme, folder), target_s)


def read_calls(path: Path, city: City) -> Calls:
    """Read a call file of `city`; places are made known to its road table."""
    table = _table(path)
    if table.shape[1] != 11:
        raise Rejected("bad_calls", path.name, columns=table.shape[1])
    order = np.argsort(table[:, 1], kind="stable")
    table = table[order]
    calls = Calls(
        t_sec=table[:, 1].copy(), priority=table[:, 2].astype(np.int64), lon=table[:, 3].copy(),
        lat=table[:, 4].copy(), node=table[:, 5].astype(np.int64) - 1, offroad_m=table[:, 6] * 1000.0,
        dispatch_delay_s=table[:, 7].copy(), on_scene_s=table[:, 8].copy(), transport=table[:, 9] == 1,
        handover_s=table[:, 10].copy(), kind=[f"p{p:.0f}" for p in table[:, 2].tolist()],
        zone=zone_of(city.demand, city.net, table[:, 3], table[:, 4]),
    )  # fmt: skip
    make_known(calls, city.net)
    return calls


def make_known(calls: Calls, net: TravelNet) -> None:
    """Tell the road table which node each call joins, as the call file has it."""
    for lon, lat, node, offroad_m in zip(
        calls.lon.tolist(), calls.lat.tolist(), calls.node.tolist(), calls.offroad_m.tolist(), strict=True
    ):
        net.know(lon, lat, node, offroad_m)


def zone_of(demand: DemandMap, net: TravelNet, lon: FloatArray, lat: FloatArray) -> IntArray:
    """Index of the nearest demand cell for every place."""
    sx, sy = net.m_per_deg
    tree = cKDTree(np.column_stack([demand.lon * sx, demand.lat * sy]))
    zone: IntArray = tree.query(np.column_stack([lon * sx, lat * sy]))[1].astype(np.int64)
    return zone


def _region(folder: Path, nodes: FloatArray, target_s: dict[int, float]) -> Region:
    stations = _rows(folder / "stations.csv")
    posts = {
        f"S{row['station']}": Post(
            f"S{row['station']}", f"Station {row['station']}", "station", float(row["lon"]), float(row["lat"]),
            int(row["capacity"]),
        )
        for row in stations
    }  # fmt: skip
    units = {
        f"A{int(row['ambulance']):03d}": UnitSpec(
            f"A{int(row['ambulance']):03d}", AMBULANCE, "ems", f"S{row['station']}"
        )
        for row in _rows(folder / "ambulances.csv")
    }
    hospitals = {
        f"H{row['hospital']}": Hospital(
            f"H{row['hospital']}", f"Hospital {row['hospital']}", float(row["lon"]), float(row["lat"])
        )
        for row in _rows(folder / "hospitals.csv")
    }
    kinds = {
        f"p{priority}": Kind(f"p{priority}", f"Prioritas {priority}", f"Priority {priority}", priority, "ems")
        for priority in sorted(target_s)
    }
    plan = Plan("one-ambulance", frozenset(kinds), (Slot((AMBULANCE,)),), mode=AUTO)
    pad = 0.5  # a call may lie off the network; half a degree still catches swapped coordinates
    return Region(
        code=folder.name,
        name=folder.name.title(),
        utc_offset_h=0.0,
        bbox=(
            float(nodes[:, 1].min()) - pad, float(nodes[:, 2].min()) - pad,
            float(nodes[:, 1].max()) + pad, float(nodes[:, 2].max()) + pad,
        ),
        kinds=kinds,
        unit_types={
            AMBULANCE: UnitType(
                AMBULANCE, "A", "Ambulans", "Ambulance", frozenset({AMBULANCE}), LIGHTS, 0.0, 0.0, transport=True
            )
        },
        units=units,
        posts=posts,
        hospitals=hospitals,
        plans=(plan,),
        zones={"all": Zone("all", folder.name.title(), float(nodes[:, 1].mean()), float(nodes[:, 2].mean()), 0, 0.0)},
        limits=Limits(target_s=target_s.get(1, DEFAULT_DEADLINE_S), duplicate_radius_m=0.0),
    )  # fmt: skip


def _process(readme: str, folder: Path) -> CallProcess:
    shares = re.search(r"priority mix high/med/low ([\d.]+)/([\d.]+)/([\d.]+) %", readme)
    handover = re.search(r"handover (?:Exp mean ([\d.]+)|Weibull\(shape ([\d.]+), scale ([\d.]+)) min", readme)
    if shares is None or handover is None:
        raise Rejected("bad_city", "README.md", expected="priority mix and handover time")
    if handover[1] is not None:
        shape, mean_s = 1.0, float(handover[1]) * 60.0
    else:
        shape = float(handover[2])
        mean_s = float(handover[3]) * 60.0 * math.gamma(1.0 + 1.0 / shape)
    high, mid, low = (float(shares[i]) / 100.0 for i in (1, 2, 3))
    return CallProcess(
        per_day=_fact(readme, r"Poisson ([\d.]+) calls/day", folder),
        priority_share=(high, mid, low),
        dispatch_delay_s=_fact(readme, r"dispatch delay ([\d.]+) s", folder),
        on_scene_mean_s=_fact(readme, r"on scene Exp mean ([\d.]+) min", folder) * 60.0,
        transport_share=_fact(readme, r"transport ([\d.]+) %", folder) / 100.0,
        handover_mean_s=mean_s,
        handover_shape=shape,
    )


def _fact(readme: str, pattern: str, folder: Path) -> float:
    found = re.search(pattern, readme)
    if found is None:
        raise Rejected("bad_city", "README.md", folder=folder.name, expected=pattern)
    return float(found[1])


def _table(path: Path) -> FloatArray:
    if not path.is_file():
        raise Rejected("bad_city", path.name)
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise Rejected("bad_city", path.name)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
