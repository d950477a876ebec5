"""Were the warnings of a run right, and in time? What `siaga simulate` prints beside the shares.

The same count as `sla/warnings.py` makes from a journal (a test holds one against the other), from what the world knows:
nobody in it acts on a warning, so a false one is false, and not a remedy that worked.
"""

from __future__ import annotations

import numpy as np

from simulators.cityfile import Calls
from simulators.world import Log
from sla.warnings import LEAD_S


def warning_figures(log: Log, calls: Calls, target_s: float, since_s: float = 0.0) -> dict[str, float | int | None]:
    """Over the priority-1 calls from `since_s` on. A warning counts when `LEAD_S` or more of the `target_s` were left.

    `hopeless` are late ones whose report came when less was left: nobody could have warned. They count against recall.
    """
    counted = (calls.priority == 1) & (calls.t_sec >= since_s)
    late = counted & ~(log.first_at_scene_s <= target_s)  # never reached is NaN and late
    warned = counted & (log.warned_s <= target_s - LEAD_S)
    hopeless = late & (calls.dispatch_delay_s > target_s - LEAD_S)
    both = int((late & warned).sum())
    left_s = target_s - log.warned_s[late & warned]
    return {
        "lead_s": LEAD_S,
        "emergencies": int(counted.sum()),
        "late": int(late.sum()),
        "late_warned": both,
        "hopeless": int(hopeless.sum()),
        "warned": int(warned.sum()),
        "recall": round(both / int(late.sum()), 4) if late.any() else None,
        "precision": round(both / int(warned.sum()), 4) if warned.any() else None,
        "left_p50_s": round(float(np.median(left_s)), 1) if both else None,
    }
