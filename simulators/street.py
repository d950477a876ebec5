"""Chooses waiting points on the street, besides the stations, where they add most expected coverage.

Greedy maximum expected covering location (Daskin, Transportation Science 17, 1983): each further point is the one that adds
most to sum_j w_j (1 - prod(1 - (1 - q) c_ij)) over stations and points chosen so far. Greedy is within 1 - 1/e of the best set
for such sums (Nemhauser, Wolsey & Fisher, Mathematical Programming 14, 1978). Candidates are the demand cells' own places,
snapped to where a vehicle can stand.
"""

from __future__ import annotations

import msgspec
import numpy as np

from dispatch.policies.coverage import Coverage, DemandPoints
from dispatch.region import Post, Region
from geo.router import LIGHTS
from simulators.net import TravelNet

STREET_POSTS_MAX = 200
"""More waiting points than any city of the size of a table has ambulances."""
BUSY = 0.3
"""Chance that a unit counted on is taken; the value move-up uses."""


def choose_street_posts(
    net: TravelNet, region: Region, demand: DemandPoints, within_s: float, count: int
) -> list[Post]:  # fmt: skip
    """`count` waiting points in the order of choice; `within_s` is what the promise leaves for driving."""
    if not 0 <= count <= STREET_POSTS_MAX:
        raise ValueError(f"street posts: 0..{STREET_POSTS_MAX}, not {count}")
    coverage = Coverage(region, net, demand, within_s)
    nodes = sorted({net.snap(lon, lat)[0] for lon, lat in zip(demand.lon, demand.lat, strict=True)})
    places = [(float(net.lon[v]), float(net.lat[v])) for v in nodes]
    for v, (lon, lat) in zip(nodes, places, strict=True):
        net.know(lon, lat, v, 0.0)
    rows = np.stack([coverage.fresh_row(lon, lat, LIGHTS) for lon, lat in places])
    missed = coverage.weight.copy()
    keep = np.float32(1.0 - BUSY)
    for row in coverage.posts(LIGHTS):
        missed *= np.float32(1.0) - keep * row
    chosen: list[Post] = []
    for number in range(1, count + 1):
        best = int(np.argmax(rows @ missed))
        missed *= np.float32(1.0) - keep * rows[best]
        lon, lat = places[best]
        chosen.append(Post(f"J{number:02d}", f"Titik tunggu {number}", "street", lon, lat, capacity=1, street=True))
    return chosen


def with_posts(region: Region, posts: list[Post]) -> Region:
    return msgspec.structs.replace(region, posts={**region.posts, **{p.code: p for p in posts}})
