"""Everything a server needs to name and draw one region, opened from its pack: zones, gazetteer, tiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geo.cli import cache_file
from geo.gazetteer import Gazetteer, open_gazetteer
from geo.places_tables import read_kecamatan, read_shapes
from geo.roads import RoadGraph
from geo.site_notes import Site, open_site
from geo.tiles import TileSource
from geo.zones import Zones, open_zones


@dataclass(frozen=True, slots=True)
class RegionMap:
    """The parts; `zones` is None where the pack knows none."""

    zones: Zones | None
    gazetteer: Gazetteer
    tiles: TileSource
    site: Site

    def kecamatan_of(self, lon: float, lat: float) -> str | None:
        """Kemendagri code of the kecamatan a point lies in, None outside the region. Raises Rejected("bad_coordinates")."""
        hit = self.zones.at(lon, lat) if self.zones is not None else None
        return None if hit is None else hit.zone.kecamatan_code


def places_file(region: str, var: Path | None = None) -> Path:
    """Where a region's imported places are kept, beside its imported roads. Raises Rejected("bad_region")."""
    return cache_file(region, var).parent.parent / "places" / f"{region}.places"


def zones_file(region: str, var: Path | None = None) -> Path:
    """Where a region's imported village borders are kept. Raises Rejected("bad_region")."""
    return places_file(region, var).with_suffix(".geojson")


def notes_file(region: str, var: Path | None = None) -> Path:
    """Where a region's imported hazards and premise notes are kept. Raises Rejected("bad_region")."""
    return places_file(region, var).with_suffix(".notes.csv")


def areas_file(region: str, var: Path | None = None) -> Path:
    """Where a region's imported response areas are kept. Raises Rejected("bad_region")."""
    return places_file(region, var).with_suffix(".areas.geojson")


def open_map(pack: Path, region: str, graph: RoadGraph | None = None, var: Path | None = None) -> RegionMap:
    """A region's map from its pack, the road network in use and, where there are any, imported places and borders.

    About a second with 11,000 places. Raises Rejected for a damaged table or file, naming it.
    """
    kecamatan = read_kecamatan(pack / "kecamatan.csv") if (pack / "kecamatan.csv").exists() else []
    shapes = read_shapes(pack / "water.csv") if (pack / "water.csv").exists() else []
    borders = zones_file(region, var)
    zones = Zones.from_geojson(borders) if borders.exists() else open_zones(pack, kecamatan)
    gazetteer = open_gazetteer(pack, kecamatan, graph, zones, places_file(region, var))
    site = open_site(notes_file(region, var), areas_file(region, var))
    return RegionMap(zones, gazetteer, TileSource(graph, shapes, zones, gazetteer.places), site)
