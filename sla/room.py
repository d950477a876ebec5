"""The whole of this room for one region, as a server holds it: one object, fed with every published entry.

room = SlaRoom(region, router, clock.now, var / "laporan")
room.apply(entry)            # every durable entry, in order, from the first line of the journal
room.routes()                # for the server's route table
room.reporter.tick(now)      # every minute or so: writes a report that is due
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from dispatch.api.routes import Route
from dispatch.events import Entry, IncidentClosed
from dispatch.region import Region
from geo.router import Router
from sla import api
from sla.attribution import Attribution
from sla.columns import Ledger
from sla.live import SlaFold
from sla.metrics import SlaMetrics
from sla.schedule import Reporter
from sla.utilisation import Utilisation


class SlaRoom:
    """Fold, utilisation, metrics, explanations and reports of one region."""

    def __init__(self, region: Region, router: Router | None, now: Callable[[], datetime], reports: Path) -> None:
        self.fold = SlaFold.of(region)
        self.utilisation = Utilisation.of(region)
        self.attribution = Attribution(region, router)
        self.metrics = SlaMetrics(self.fold, region.code, now, self.utilisation)
        self.ledger = Ledger(self.fold, region, self.attribution)
        self.fold.watch = self.ledger.mark
        self.reporter = Reporter(self.fold, region, reports, self.utilisation, self.attribution)
        self.region = region
        self._closed: list[str] = []
        self._again = False

    def begin_again(self) -> None:
        """Fold from the journal's first line once more. Counters have counted these lines before and stand still until `resume`."""
        self._again = True
        self._closed.clear()
        self.fold.begin_again()
        self.ledger.begin_again()
        self.utilisation.begin_again()

    def resume(self) -> None:
        """The journal has been read again; counters go on from here."""
        self._again = False
        self.metrics.follow()

    def apply(self, entry: Entry) -> None:
        """A few microseconds. `metrics.observe` feeds the utilisation too."""
        self.fold.apply(entry)
        if self._again:
            self.utilisation.apply(entry)
        else:
            self.metrics.observe(entry)
        if isinstance(entry.event, IncidentClosed):
            self._closed.append(entry.event.incident_id)

    @property
    def unexplained(self) -> int:
        """Closed incidents the engine has not been asked about again yet: many after a start, hardly any later."""
        return len(self._closed)

    def explain_next(self, now: datetime) -> bool:
        """Ask the engine again about one late response that has closed (some 20 ms), the newest first; False when none waits.

        Called every now and then, so that lists and reports find explanations ready instead of holding up the calls.
        """
        while self._closed:
            case = self.fold.timeline.cases.get(self._closed.pop())
            if case is not None and self.attribution.explain(case, self.fold.timeline, now) is not None:
                self.ledger.mark_case(case.incident_id)
                return True
        return False

    def routes(self) -> list[Route]:
        return api.routes(self.fold, self.region, self.attribution, self.utilisation, self.reporter.folder)
