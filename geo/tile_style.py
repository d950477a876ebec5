"""How the map looks, by night and by day, as a MapLibre style over our own tiles.

No outside address, no glyph or sprite server: labels are drawn from the fonts the page has loaded. Calm by design: three
weights of blue-grey for roads, water darker than land, no colour that means something elsewhere (red, amber, green). Colours
follow the tokens of the screens (dashboards/web/src/styles/tokens.css); label text keeps 4.5:1 on its ground.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Layer: TypeAlias = dict[str, Any]

FONT = ["IBM Plex Sans"]
MARGIN_DEG = 1.5
TILES_PATH = "/tiles/{z}/{x}/{y}"


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one theme."""

    ground: str
    sea: str
    river: str
    pond: str
    border: str
    lane: str
    minor: str
    major: str
    motorway: str
    casing: str
    rail: str
    text: str
    text_soft: str
    text_water: str
    halo: str
    dot: str
    dot_care: str


PALETTES: Mapping[str, Palette] = {
    "night": Palette(
        ground="#0f1621", sea="#070d15", river="#0a1d30", pond="#0b111a", border="#34465f", lane="#223046", minor="#2c3d55", major="#40577a",
        motorway="#566f96", casing="#0a0f17", rail="#2a3545", text="#b8c4d4", text_soft="#8b9bb0", text_water="#6d86a6",
        halo="#0b1017", dot="#7f8fa5", dot_care="#9cc9f5",
    ),
    "day": Palette(
        ground="#f1f3f7", sea="#c2d6e8", river="#b4cde4", pond="#d6e3ee", border="#a9b6c8", lane="#dde4ed", minor="#c6d1df", major="#a9b9ce",
        motorway="#8ea3bf", casing="#ffffff", rail="#c3c9d2", text="#2c3a4d", text_soft="#526173", text_water="#3f648a",
        halo="#f7f9fb", dot="#6b7a8e", dot_care="#0a5fb8",
    ),
}  # fmt: skip

WORDS = {
    "id": ("Peta perkiraan, bukan hasil survei", "Peta"),
    "en": ("Approximate map, not surveyed", "Map"),
}
LANES = ["residential", "living_street", "unclassified", "service", "track", "road", "unknown", "street"]
MINOR = ["tertiary", "tertiary_link", "secondary_link", "primary_link", "trunk_link"]
MAJOR = ["secondary", "primary", "trunk"]
MOTORWAY = ["motorway", "motorway_link"]
CARE = ["hospital", "puskesmas", "clinic"]
# `Jalan X` as signs write it.
STREET_LABEL = [
    "case", ["==", ["slice", ["get", "name"], 0, 6], "Jalan "], ["concat", "Jl. ", ["slice", ["get", "name"], 6]],
    ["get", "name"],
]  # fmt: skip


def style(
    theme: str,
    lang: str,
    bounds: tuple[float, float, float, float],
    attribution: str,
    approximate: bool,
    zooms: tuple[int, int],
) -> dict[str, Any]:
    """The style document. Unknown themes and languages fall back to night and Indonesian, the control room's own."""
    p = PALETTES.get(theme, PALETTES["night"])
    warning, name = WORDS.get(lang, WORDS["id"])
    notes = [n for n in (warning if approximate else "", attribution) if n]
    return {
        "version": 8,
        "name": f"Siaga 112 {name} ({theme})",
        "metadata": {"siaga:approximate": approximate},
        "center": [round((bounds[0] + bounds[2]) / 2, 5), round((bounds[1] + bounds[3]) / 2, 5)],
        "zoom": 11,
        "sources": {
            "siaga": {
                "type": "vector",
                "tiles": [TILES_PATH],
                "minzoom": zooms[0],
                "maxzoom": zooms[1],
                # Wide enough for the coast around the region at the farthest zoom; beyond, no tile is asked for.
                "bounds": [
                    bounds[0] - MARGIN_DEG,
                    bounds[1] - MARGIN_DEG,
                    bounds[2] + MARGIN_DEG,
                    bounds[3] + MARGIN_DEG,
                ],
                "attribution": " · ".join(notes),
            }
        },
        "layers": [
            {"id": "ground", "type": "background", "paint": {"background-color": p.ground}},
            *_water(p),
            *_zones(p),
            *_roads(p),
            *_labels(p),
        ],
    }


def _water(p: Palette) -> list[Layer]:
    return [
        _fill("fishpond", "water", ["==", ["get", "kind"], "fishpond"], p.pond),
        _fill("pond", "water", ["match", ["get", "kind"], ["sea", "pond"], True, False], p.sea),
        {
            **_fill("river", "water", ["all", ["==", ["get", "kind"], "river"], ["!", ["has", "line"]]], p.river),
            "minzoom": 13,
        },
        _line(
            "river-line", "water", ["all", ["==", ["get", "kind"], "river"], ["has", "line"]], p.river,
            [8, 1.0, 11, 2.2, 13, 3.0], maxzoom=13,
        ),
        _line("canal", "water", ["==", ["get", "kind"], "canal"], p.river, [12, 1.0, 14, 2.2, 16, 6.0], minzoom=12),
    ]  # fmt: skip


def _zones(p: Palette) -> list[Layer]:
    village = _line(
        "border-kelurahan", "zones", ["==", ["get", "kind"], "kelurahan"], p.border, [13, 0.5, 16, 1.0], minzoom=13
    )
    village["paint"] |= {"line-dasharray": [1, 3], "line-opacity": 0.6}
    district = _line("border-kecamatan", "zones", ["==", ["get", "kind"], "kecamatan"], p.border, [9, 0.6, 14, 1.6])
    district["paint"] |= {
        "line-dasharray": [3, 2],
        "line-opacity": ["interpolate", ["linear"], ["zoom"], 9, 0.5, 13, 0.9],
    }
    return [village, district]


def _roads(p: Palette) -> list[Layer]:
    def of(classes: list[str]) -> list[Any]:
        return ["match", ["get", "class"], classes, True, False]

    rail = _line("rail", "roads", ["==", ["get", "class"], "rail"], p.rail, [11, 0.8, 16, 2.2], minzoom=11)
    rail["paint"] |= {"line-dasharray": [4, 2]}
    return [
        _line("lane", "roads", of(LANES), p.lane, [13, 0.6, 14, 1.2, 16, 4.0, 18, 12.0], minzoom=13),
        rail,
        _line("minor", "roads", of(MINOR), p.minor, [11, 0.7, 13, 1.8, 15, 4.0, 18, 16.0], minzoom=11),
        _line("major-casing", "roads", of(MAJOR + MOTORWAY), p.casing, [11, 2.0, 14, 6.5, 16, 12.0, 18, 30.0], minzoom=11),
        _line("major", "roads", of(MAJOR), p.major, [8, 0.6, 10, 1.2, 12, 2.4, 14, 4.6, 16, 9.0, 18, 24.0]),
        _line("motorway", "roads", of(MOTORWAY), p.motorway, [8, 0.8, 10, 1.4, 12, 2.6, 14, 4.8, 16, 8.0, 18, 20.0]),
        {
            "id": "oneway", "type": "symbol", "source": "siaga", "source-layer": "roads", "minzoom": 15,
            "filter": ["==", ["get", "oneway"], 1],
            "layout": {
                "symbol-placement": "line", "symbol-spacing": 120, "text-field": "→", "text-font": FONT, "text-size": 13,
                "text-keep-upright": False, "text-rotation-alignment": "map", "text-ignore-placement": True,
            },
            "paint": {"text-color": p.text_soft},
        },
    ]  # fmt: skip


def _labels(p: Palette) -> list[Layer]:
    place = ["match", ["get", "kind"], ["kecamatan", "kelurahan"], False, True]
    return [
        _symbol("water-name", "water", ["all", ["has", "line"], ["has", "name"]], p.text_water, p.halo, 11, ["get", "name"], along=True, minzoom=11, spacing=400),
        _symbol(
            "water-area-name", "water", ["match", ["get", "kind"], ["pond", "sea"], True, False], p.text_water, p.halo, 11,
            ["get", "name"], minzoom=10,
        ),
        _symbol(
            "lane-name", "roads", ["all", ["has", "name"], ["match", ["get", "class"], LANES, True, False]], p.text_soft, p.halo, 11, STREET_LABEL,
            along=True, minzoom=15,
        ),
        _symbol(
            "road-name", "roads", ["all", ["has", "name"], ["match", ["get", "class"], MINOR + MAJOR + MOTORWAY, True, False]], p.text, p.halo, 12,
            STREET_LABEL, along=True, minzoom=12.5,
        ),
        {
            "id": "place-dot", "type": "circle", "source": "siaga", "source-layer": "places", "filter": place, "minzoom": 12,
            "paint": {
                "circle-radius": ["interpolate", ["linear"], ["zoom"], 12, 1.6, 16, 3.2],
                "circle-color": ["match", ["get", "kind"], CARE, p.dot_care, p.dot],
                "circle-stroke-color": p.halo, "circle-stroke-width": 1,
            },
        },
        {
            **_symbol(
                "place-name", "places", place, p.text, p.halo, 11.5, ["get", "name"], minzoom=12, sort=["get", "rank"]
            ),
        },
        _symbol(
            "kelurahan-name", "places", ["==", ["get", "kind"], "kelurahan"], p.text_soft, p.halo, 12, ["get", "name"],
            minzoom=13, maxzoom=15.5, spread=0.05,
        ),
        _symbol(
            "kecamatan-name", "places", ["==", ["get", "kind"], "kecamatan"], p.text, p.halo,
            ["interpolate", ["linear"], ["zoom"], 10, 10.5, 13, 15], ["upcase", ["get", "name"]], minzoom=10, maxzoom=14.5,
            spread=0.12,
        ),
    ]  # fmt: skip


def _widths(stops: list[float]) -> list[Any]:
    return ["interpolate", ["exponential", 1.4], ["zoom"], *stops]


def _fill(name: str, source_layer: str, where: list[Any], colour: str) -> Layer:
    return {
        "id": name, "type": "fill", "source": "siaga", "source-layer": source_layer, "filter": where,
        "paint": {"fill-color": colour, "fill-antialias": True},
    }  # fmt: skip


def _line(
    name: str, source_layer: str, where: list[Any], colour: str, widths: list[float], minzoom: float | None = None,
    maxzoom: float | None = None,
) -> Layer:  # fmt: skip
    layer: Layer = {
        "id": name, "type": "line", "source": "siaga", "source-layer": source_layer, "filter": where,
        "layout": {"line-cap": "round", "line-join": "round"},
        "paint": {"line-color": colour, "line-width": _widths(widths)},
    }  # fmt: skip
    if minzoom is not None:
        layer["minzoom"] = minzoom
    if maxzoom is not None:
        layer["maxzoom"] = maxzoom
    return layer


def _symbol(
    name: str, source_layer: str, where: list[Any] | None, colour: str, halo: str, size: float | list[Any], text: list[Any],
    *, along: bool = False, minzoom: float = 0, maxzoom: float | None = None, spacing: int = 280, spread: float = 0.0,
    sort: list[Any] | None = None,
) -> Layer:  # fmt: skip
    layout: dict[str, Any] = {
        "text-field": text, "text-font": FONT, "text-size": size, "text-max-width": 8, "text-padding": 3,
        "text-letter-spacing": spread,
    }  # fmt: skip
    if along:
        layout |= {"symbol-placement": "line", "symbol-spacing": spacing, "text-max-angle": 30}
    elif sort is not None:
        layout |= {
            "text-variable-anchor": ["left", "right", "top", "bottom"],
            "text-radial-offset": 0.6,
            "symbol-sort-key": sort,
        }
    layer: Layer = {
        "id": name, "type": "symbol", "source": "siaga", "source-layer": source_layer, "minzoom": minzoom, "layout": layout,
        "paint": {"text-color": colour, "text-halo-color": halo, "text-halo-width": 1.4},
    }  # fmt: skip
    if where is not None:
        layer["filter"] = where
    if maxzoom is not None:
        layer["maxzoom"] = maxzoom
    return layer
