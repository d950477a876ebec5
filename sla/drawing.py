"""Two charts as plain SVG for the reports: where the seconds went, and the control chart. Strings out; no other state."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sla.charts import Point
from sla.outcome import PHASE_NAMES

INK, BAR, PALE, LATE, LINE, BAND = "#14202e", "#3a6ea5", "#b7cde3", "#b3261e", "#55657a", "#eef2f7"
WIDTH = 960.0
DAY_LABELS_MAX = 12  # more dates than this on one axis overlap


def phase_bars(rows: Sequence[tuple[str, float | None, float | None, float]]) -> str:
    """Horizontal bars: (phase, p50_s, p90_s or None, budget_s) each; the budget as an upright tick."""
    longest = max([1.0, *(max(p50 or 0.0, p90 or 0.0, budget) for _, p50, p90, budget in rows)])
    left, right, step = 170.0, 90.0, 30.0
    scale = (WIDTH - left - right) / longest
    parts = []
    for k, (name, p50_s, p90_s, budget_s) in enumerate(rows):
        y = 6.0 + step * k
        label = escape(PHASE_NAMES[name][0])
        parts.append(f'<text x="{left - 8:.0f}" y="{y + 14:.0f}" text-anchor="end">{label}</text>')
        if p90_s is not None:
            parts.append(f'<rect x="{left}" y="{y:.1f}" width="{p90_s * scale:.1f}" height="18" fill="{PALE}"/>')
        if p50_s is not None:
            parts.append(f'<rect x="{left}" y="{y:.1f}" width="{p50_s * scale:.1f}" height="18" fill="{BAR}"/>')
        x = left + budget_s * scale
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 3:.1f}" y2="{y + 21:.1f}" stroke="{INK}" stroke-width="1.5"/>'
        )
        values = [f"{v:.0f}" for v in (p50_s, p90_s) if v is not None]
        text = " / ".join(values) + " s" if values else "tidak tercatat"
        end = left + max(p50_s or 0.0, p90_s or 0.0, budget_s) * scale + 8
        parts.append(f'<text x="{end:.1f}" y="{y + 14:.0f}">{text}</text>')
    height = 6.0 + step * len(rows)
    return _svg(height, parts, "Lama tiap tahap terhadap jatahnya")


def control_chart(points: Sequence[Point]) -> str:
    """Shares over time inside their limits; a point with a signal is red, a rough one hollow."""
    left, right, top, height = 48.0, 26.0, 10.0, 220.0
    base = height - 28.0
    count = max(1, len(points) - 1)
    known = [v for p in points for v in (p.value, p.low if not p.rough else None) if v is not None]
    bottom = max(0.0, min(known, default=0.0) - 0.05)

    def x(k: int) -> float:
        return left + (WIDTH - left - right) * (k / count if len(points) > 1 else 0.5)

    def y(value: float) -> float:
        return base - (base - top) * (min(max(value, bottom), 1.0) - bottom) / (1.0 - bottom)

    parts = []
    for k in range(5):
        value = bottom + (1.0 - bottom) * k / 4
        parts.append(
            f'<line x1="{left}" x2="{WIDTH - right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#d6dee8"/>'
        )
        parts.append(f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{100 * value:.0f} %</text>')
    band = [(x(k), y(p.high or 0.0), y(p.low or 0.0)) for k, p in enumerate(points) if p.low is not None]
    if band:
        upper = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in band)
        lower = " ".join(f"{a:.1f},{c:.1f}" for a, _, c in reversed(band))
        parts.append(f'<polygon points="{upper} {lower}" fill="{BAND}"/>')
    centre = next((p.centre for p in points if p.centre is not None), None)
    if centre is not None:
        parts.append(
            f'<line x1="{left}" x2="{WIDTH - right}" y1="{y(centre):.1f}" y2="{y(centre):.1f}" stroke="{LINE}" stroke-dasharray="4 3"/>'
        )
    path = " ".join(f"{x(k):.1f},{y(p.value):.1f}" for k, p in enumerate(points) if p.value is not None)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{BAR}" stroke-width="1.5"/>')
    every = max(1, -(-len(points) // DAY_LABELS_MAX))
    for k, point in enumerate(points):
        if point.value is not None:
            colour = LATE if point.signal else BAR
            fill = "#fff" if point.rough else colour
            title = escape(f"{point.label}: {100 * point.value:.1f} % dari {point.n}")
            parts.append(
                f'<circle cx="{x(k):.1f}" cy="{y(point.value):.1f}" r="{4 if point.signal else 2.6}" fill="{fill}" stroke="{colour}">'
                f"<title>{title}</title></circle>"
            )
        if k % every == 0:
            parts.append(
                f'<text x="{x(k):.1f}" y="{height - 8:.0f}" text-anchor="middle">{escape(day_month(point.label))}</text>'
            )
    return _svg(height, parts, "Bagian tepat waktu per hari dengan batas kendali")


def day_month(iso_day: str) -> str:
    """2026-01-31 -> 31/1"""
    parts = iso_day.split("-")
    return f"{int(parts[2])}/{int(parts[1])}" if len(parts) == 3 else iso_day


def _svg(height: float, parts: list[str], title: str) -> str:
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">{inside}</svg>'
