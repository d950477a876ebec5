"""Was anything lost? Asks the journal, never the client's own counts.

An acknowledged report is accounted for when the journal holds it and its emergency either got a unit or says why it has
none yet: the plan cannot be filled now, it waits for a person, it is held as a likely duplicate, or it was dismissed.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dispatch import events as ev
from dispatch.region import AUTO


class Audit(msgspec.Struct):
    """Verdict per acknowledged report."""

    assigned: int = 0
    explained: dict[str, int] = {}
    """Why no unit: reason -> reports."""
    missing: list[str] = []
    """Acknowledged, and not in the journal."""
    forgotten: list[str] = []
    """In the journal, without a unit and without a reason."""

    @property
    def lost(self) -> int:
        return len(self.missing) + len(self.forgotten)


def audit(entries: Iterable[ev.Entry], report_ids: Iterable[str]) -> Audit:
    """Look for every one of `report_ids` in a whole journal."""
    submitted: set[str] = set()
    incident_of: dict[str, str] = {}
    into: dict[str, str] = {}
    assigned: set[str] = set()
    reasons: dict[str, str] = {}
    for entry in entries:
        match entry.event:
            case ev.ReportSubmitted() as e:
                submitted.add(e.report_id)
            case ev.ReportAttached() as e:
                incident_of[e.report_id] = e.incident_id
            case ev.ReportDetached() as e:
                incident_of.pop(e.report_id, None)
            case ev.ReportDismissed() as e:
                reasons[e.report_id] = "dismissed"
            case ev.IncidentOpened() as e:
                if e.mode != AUTO:
                    reasons[e.incident_id] = "waits for a person or is held as a likely duplicate"
            case ev.IncidentMerged() as e:
                into[e.incident_id] = e.into
            case ev.IncidentUnmerged() as e:
                into.pop(e.incident_id, None)
            case ev.PlanConfirmed() as e:
                reasons.pop(e.incident_id, None)
            case ev.PlanShort() as e:
                reasons[e.incident_id] = "the plan cannot be filled"
            case ev.IncidentCancelled() as e:
                reasons[e.incident_id] = "cancelled"
            case ev.UnitAssigned() as e:
                assigned.add(e.incident_id)
            case _:
                pass
    found = Audit()
    for report_id in report_ids:
        if report_id not in submitted:
            found.missing.append(report_id)
            continue
        incident_id = incident_of.get(report_id)
        while incident_id is not None and incident_id in into:
            incident_id = into[incident_id]
        reason = reasons.get(report_id) or reasons.get(incident_id or "")
        if incident_id in assigned:
            found.assigned += 1
        elif reason is not None:
            found.explained[reason] = found.explained.get(reason, 0) + 1
        else:
            found.forgotten.append(report_id)
    return found
