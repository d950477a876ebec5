"""Which reports are due, and making them: yesterday's every morning, last month's on the first. Files, no database.

`due` is pure; `Reporter.tick` writes what is missing, so a server that slept through midnight catches up by itself, and one
that is asked every minute writes each report once.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from dispatch.region import Region
from sla.attribution import Attribution
from sla.definition import VERSION
from sla.figures import Figures, figures
from sla.groups import local
from sla.live import SlaFold
from sla.outcome import Outcome
from sla.pdf import period_pdf
from sla.report import period_html, table, to_csv
from sla.utilisation import Utilisation

log = logging.getLogger("siaga.sla.reports")

HOUR = 1  # local: by then every emergency of yesterday is older than its target and its corrections are in
DAYS_BACK = 7  # a server away longer than a week gets its older days by `siaga sla report`


class Due(NamedTuple):
    """One report to make: file stem, and the period as instants."""

    stem: str
    since: datetime
    until: datetime


def due(now: datetime, utc_offset_h: float, began_at: datetime | None) -> list[Due]:
    """Reports of whole local days and of last month that may exist at `now`, oldest first; none from before the journal."""
    if began_at is None:
        return []
    here = local(now, utc_offset_h)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    last = midnight if here.hour >= HOUR else midnight - timedelta(days=1)
    shift = timedelta(hours=utc_offset_h)
    found = []
    for back in range(DAYS_BACK, 0, -1):
        start = last - timedelta(days=back)
        found.append(Due(f"harian-{start:%Y-%m-%d}", start - shift, start - shift + timedelta(days=1)))
    first = last.replace(day=1)
    start = (first - timedelta(days=1)).replace(day=1)
    found.append(Due(f"bulanan-{start:%Y-%m}", start - shift, first - shift))
    return [d for d in found if d.until > began_at]


class Reporter:
    """Writes due reports of one region into `folder`: HTML, PDF and CSV each, HTML last and in one step."""

    def __init__(
        self,
        fold: SlaFold,
        region: Region,
        folder: Path,
        utilisation: Utilisation | None = None,
        attribution: Attribution | None = None,
    ) -> None:
        self.fold = fold
        self.region = region
        self.folder = folder
        self.utilisation = utilisation
        self.attribution = attribution

    def next_job(self, now: datetime) -> Callable[[], list[Path]] | None:
        """The next missing report, its figures computed; calling the job draws and writes it, in any thread."""
        timeline = self.fold.timeline
        began_at = min(
            (c.opened_ring_at for c in timeline.cases.values() if c.opened_ring_at is not None), default=None
        )
        for item in due(now, self.region.utc_offset_h, began_at):
            if not (self.folder / f"{item.stem}.html").exists():
                found = figures(self.fold, item.since, item.until, now, self.region, self.utilisation, self.attribution)
                rows = self.fold.outcomes(now, item.since, item.until)
                return functools.partial(self._write, item.stem, found, rows)
        return None

    def tick(self, now: datetime) -> list[Path]:
        """Make at most one missing report and return its files; call again for the next."""
        job = self.next_job(now)
        return [] if job is None else job()

    def _write(self, stem: str, found: Figures, rows: list[Outcome]) -> list[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        bodies = {
            "csv": to_csv(table(rows, VERSION)),
            "pdf": period_pdf(found, self.region),
            "html": period_html(found, self.region).encode(),
        }
        written = []
        for kind, body in bodies.items():
            path = self.folder / f"{stem}.{kind}"
            half = path.with_suffix(f".{kind}.part")
            half.write_bytes(body)
            os.replace(half, path)
            written.append(path)
        log.info("report written stem=%s n=%d", stem, found.summary.headline.n)
        return written
