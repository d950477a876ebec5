"""Which road network a server drives on: the imported one, else the pack's approximate one, else straight lines."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from dispatch.region import Region
from geo.cli import cache_file
from geo.network import build_network
from geo.places_tables import Facts
from geo.roads import RoadGraph
from geo.router import Rejected, Router, StraightLineRouter

log = logging.getLogger("siaga.router")

NETWORK_TABLES = ("roads.csv", "water.csv", "bridges.csv", "kelurahan.csv")


def load_router(region: Region, pack: Path, var: Path) -> Router:
    """The best network there is for a region; `approximate` on it says whether screens must warn."""
    imported = cache_file(region.code, var)
    if imported.exists():
        try:
            graph = RoadGraph.load(imported)
            graph.warm_up()
            return graph
        except Rejected as refusal:
            log.warning("imported roads unusable code=%s detail=%s; import them again", refusal.code, refusal.detail)
    tables = [pack / name for name in NETWORK_TABLES]
    if all(t.exists() for t in tables):
        digest = hashlib.sha256(b"".join(t.read_bytes() for t in tables) + _code_of_builder()).hexdigest()[:16]
        built = cache_file(f"{region.code}-builtin-{digest}", var)
        try:
            graph = RoadGraph.load(built)
        except Rejected:
            log.info("building the approximate road network of %s", region.code)
            graph = build_network(Facts.read(pack), region.code)
            graph.save(built)
        graph.warm_up()
        return graph
    return StraightLineRouter(region.speed_kmh, region.detour_factor) if region.speed_kmh else StraightLineRouter()


def _code_of_builder() -> bytes:
    """The generator's own source: a changed generator builds anew."""
    import geo.lattice
    import geo.network
    import geo.speeds

    return b"".join(Path(str(m.__file__)).read_bytes() for m in (geo.network, geo.lattice, geo.speeds))
