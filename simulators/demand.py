"""Draws lists of calls from a city's statistics: when, where, how urgent, and how long everything will take.

The JEMSS generator's process: Poisson arrivals flat over the day, places from the demand raster (a cell with p ~ weight,
then uniform inside it), exponential scene times, exponential or Weibull handover times. Equal seeds, equal calls.
"""

from __future__ import annotations

import math

import numpy as np

from simulators.cityfile import Calls, City, make_known, zone_of
from simulators.net import IntArray

DAY_S = 86_400.0


def draw_calls(city: City, seed: int, days: int = 15, surge: float = 1.0) -> Calls:
    """`days` of calls; `surge` multiplies the arrival rate."""
    rng = np.random.default_rng(seed)
    process, demand = city.process, city.demand
    n = int(rng.poisson(process.per_day * surge * days))
    t_sec = np.sort(rng.random(n) * days * DAY_S)
    weight = demand.raster_weight / demand.raster_weight.sum()
    cell = rng.choice(len(weight), size=n, p=weight)
    lon = demand.raster_lon[cell] + (rng.random(n) - 0.5) * demand.raster_cell_deg[0]
    lat = demand.raster_lat[cell] + (rng.random(n) - 0.5) * demand.raster_cell_deg[1]
    node, offroad_m = city.net.snap_many(lon, lat)
    scale = process.handover_mean_s / math.gamma(1.0 + 1.0 / process.handover_shape)
    priority: IntArray = rng.choice([1, 2, 3], size=n, p=process.priority_share).astype(np.int64)
    calls = Calls(
        t_sec=t_sec,
        priority=priority,
        lon=lon,
        lat=lat,
        node=node,
        offroad_m=offroad_m,
        dispatch_delay_s=np.full(n, process.dispatch_delay_s),
        on_scene_s=rng.exponential(process.on_scene_mean_s, n),
        transport=rng.random(n) < process.transport_share,
        handover_s=scale * rng.weibull(process.handover_shape, n),
        kind=[f"p{p}" for p in priority.tolist()],
        zone=zone_of(demand, city.net, lon, lat),
    )
    make_known(calls, city.net)
    return calls
