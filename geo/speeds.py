"""How fast one drives on which road in an Indonesian city, before any trace of our own has been learned.

Anchors: TomTom Traffic Index 2025 for Surabaya, 27:54 minutes per 10 km (21.5 km/h over the day) at 43.7 % congestion; the
limits of PM 111/2015 art. 3 (100 km/h on toll roads, 80 between cities, 50 in urban areas, 30 in settlements); blue
lights 47 against 33 km/h (off-road speeds of the JEMSS city models). The split over classes is this project's assumption,
chosen so that trips over the Surabaya graph average what TomTom measured; learned speeds replace it (geo.traces).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from geo.router import LIGHTS, REGULAR, FloatArray, Mode

MOTORBIKE: Mode = (
    "motorbike"  # a first responder's motorbike with lights: hardly faster on a trunk road, much in a lane
)
LIGHTS_GAIN = 47.0 / 33.0
# In a lane the road itself is the limit, not the traffic: lights gain little (assumption).
NARROW_GAIN = 1.15
LIGHTS_KMH_MAX = 100.0  # PM 111/2015: the highest limit of any road

# class: (regular km/h over the day, motorbike km/h)
KMH: Mapping[str, tuple[float, float]] = {
    "motorway": (65.0, 65.0),
    "motorway_link": (36.0, 40.0),
    "trunk": (33.0, 46.0),
    "trunk_link": (25.0, 36.0),
    "primary": (28.0, 42.0),
    "primary_link": (22.0, 34.0),
    "secondary": (24.0, 38.0),
    "secondary_link": (20.0, 32.0),
    "tertiary": (21.0, 35.0),
    "tertiary_link": (18.0, 30.0),
    "unclassified": (18.0, 30.0),
    "residential": (16.0, 27.0),
    "road": (16.0, 27.0),
    "unknown": (16.0, 27.0),
    "living_street": (11.0, 20.0),
    "service": (12.0, 20.0),
    "track": (9.0, 16.0),
}
CLASSES: tuple[str, ...] = tuple(KMH)
CLASS_INDEX: Mapping[str, int] = {name: i for i, name in enumerate(CLASSES)}
NARROW = frozenset({"residential", "road", "unknown", "living_street", "service", "track"})
# Where a vehicle cannot leave the carriageway, so a position beside it does not join there.
NO_ACCESS = frozenset({"motorway", "motorway_link"})


def seconds_by_class(
    arc_class: npt.NDArray[np.uint8], length_m: FloatArray, limit_kmh: FloatArray | None = None,
    classes: Sequence[str] = CLASSES,
) -> dict[Mode, FloatArray]:  # fmt: skip
    """Prior seconds per arc and mode. A posted limit (nan = none) below the table's speed caps regular traffic, and
    scales the other modes alike, because a low limit mostly marks a road that cannot be driven faster."""
    regular = np.array([KMH[c][0] for c in classes])
    lights = np.array([min(KMH[c][0] * (NARROW_GAIN if c in NARROW else LIGHTS_GAIN), LIGHTS_KMH_MAX) for c in classes])
    motorbike = np.array([KMH[c][1] for c in classes])
    slow: FloatArray = np.ones(len(arc_class))
    if limit_kmh is not None:
        slow = np.fmin(1.0, limit_kmh / regular[arc_class])
    return {
        mode: length_m * 3.6 / (table[arc_class] * slow)
        for mode, table in ((LIGHTS, lights), (REGULAR, regular), (MOTORBIKE, motorbike))
    }
