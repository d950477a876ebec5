"""A page of a report as PDF: running foot, headings, tables, tiles, phase bars and the control chart, on fpdf2's built-in fonts.

No font file, no outside address, small, printable on A4. Built-in fonts know Latin-1 only, which holds all of Indonesian and
English; anything else is shown as "?" rather than lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from fpdf import FPDF
from fpdf.fonts import FontFace

from sla.charts import Point
from sla.drawing import day_month
from sla.outcome import PHASE_NAMES

INK, MUTED, BAR, PALE, LATE, LINE, BAND = (
    (20, 32, 46), (85, 101, 122), (58, 110, 165), (183, 205, 227), (179, 38, 30), (214, 222, 232), (238, 242, 247),
)  # fmt: skip
FONT = "helvetica"
MARGIN_MM = 16.0


class Page(FPDF):
    """A4 with a running foot: what, by which definition, page of pages."""

    def __init__(self, foot: str) -> None:
        super().__init__(format="A4")
        self._foot = foot
        self.set_margin(MARGIN_MM)
        self.set_auto_page_break(True, 18)
        self.set_font(FONT, size=10)
        self.add_page()

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(FONT, size=8)
        self.set_text_color(*MUTED)
        self.cell(0, 4, latin(self._foot))
        self.set_x(MARGIN_MM)
        self.cell(0, 4, f"{self.page_no()}/{{nb}}", align="R")

    def text_line(self, text: str, size: float = 10, colour: tuple[int, int, int] = INK, bold: bool = False) -> None:
        self.set_font(FONT, "B" if bold else "", size)
        self.set_text_color(*colour)
        self.multi_cell(0, size * 0.48, latin(text), align="L", new_x="LMARGIN", new_y="NEXT")

    def heading(self, text: str) -> None:
        if self.will_page_break(30):  # a heading never stands alone at the foot of a page
            self.add_page()
        self.ln(4)
        self.text_line(text, 13, bold=True)
        self.ln(1)

    def rows(self, head: Sequence[str], body: Sequence[Sequence[str]], widths: Sequence[float], text: int = 1) -> None:
        """A table; the first `text` columns are set left, figures right."""
        self.set_font(FONT, size=8.5)
        self.set_text_color(*INK)
        self.set_draw_color(*LINE)
        self.set_fill_color(255, 255, 255)
        aligns = tuple("L" if k < text else "R" for k in range(len(head)))
        with self.table(
            col_widths=tuple(widths),
            text_align=cast("Any", aligns),
            borders_layout="HORIZONTAL_LINES",
            line_height=4.6,
            headings_style=FontFace(emphasis="BOLD", color=MUTED, fill_color=BAND),
        ) as grid:
            for line in (head, *body):
                row = grid.row()
                for cell in line:
                    row.cell(latin(cell))
        self.ln(1)

    def tiles(self, pairs: Sequence[tuple[str, str]]) -> None:
        width = (self.epw - 3 * (len(pairs) - 1)) / len(pairs)
        top = self.get_y() + 2
        for k, (name, value) in enumerate(pairs):
            x = self.l_margin + k * (width + 3)
            self.set_fill_color(*BAND)
            self.rect(x, top, width, 14, style="F")
            self.set_xy(x + 2, top + 2)
            self.set_font(FONT, size=7.5)
            self.set_text_color(*MUTED)
            self.cell(width - 4, 3.5, latin(name))
            self.set_xy(x + 2, top + 6.5)
            self.set_font(FONT, "B", 12)
            self.set_text_color(*INK)
            self.cell(width - 4, 5, latin(value))
        self.set_xy(self.l_margin, top + 17)

    def phase_bars(self, rows: Sequence[tuple[str, float | None, float | None, float]]) -> None:
        longest = max([1.0, *(max(p50 or 0.0, p90 or 0.0, budget) for _, p50, p90, budget in rows)])
        left, step = self.l_margin + 38, 6.2
        scale = (self.epw - 38 - 24) / longest
        self.set_font(FONT, size=8.5)
        for name, p50_s, p90_s, budget_s in rows:
            y = self.get_y()
            self.set_text_color(*MUTED)
            self.set_xy(self.l_margin, y)
            self.cell(36, 4, latin(PHASE_NAMES[name][0]), align="R")
            for value, colour in ((p90_s, PALE), (p50_s, BAR)):
                if value is not None and value > 0:
                    self.set_fill_color(*colour)
                    self.rect(left, y, value * scale, 4, style="F")
            self.set_draw_color(*INK)
            self.line(left + budget_s * scale, y - 0.7, left + budget_s * scale, y + 4.7)
            values = [f"{v:.0f}" for v in (p50_s, p90_s) if v is not None]
            self.set_xy(left + max(p50_s or 0.0, p90_s or 0.0, budget_s) * scale + 2, y)
            self.cell(24, 4, " / ".join(values) + " s" if values else "tidak tercatat")
            self.set_xy(self.l_margin, y + step)

    def control_chart(self, points: Sequence[Point]) -> None:
        top, height = self.get_y() + 2, 46.0
        left, width = self.l_margin + 12, self.epw - 16
        known = [v for p in points for v in (p.value, p.low if not p.rough else None) if v is not None]
        bottom = max(0.0, min(known, default=0.0) - 0.05)
        count = max(1, len(points) - 1)

        def x(k: int) -> float:
            return left + width * (k / count if len(points) > 1 else 0.5)

        def y(value: float) -> float:
            return top + height - height * (min(max(value, bottom), 1.0) - bottom) / (1.0 - bottom)

        band = [(k, p) for k, p in enumerate(points) if p.low is not None and p.high is not None]
        if len(band) > 1:
            edge = [(x(k), y(p.high or 0.0)) for k, p in band] + [(x(k), y(p.low or 0.0)) for k, p in reversed(band)]
            self.set_fill_color(*BAND)
            self.polygon(edge, style="F")
        self.set_font(FONT, size=7)
        self.set_text_color(*MUTED)
        self.set_draw_color(*LINE)
        for k in range(5):
            value = bottom + (1.0 - bottom) * k / 4
            self.line(left, y(value), left + width, y(value))
            self.set_xy(self.l_margin, y(value) - 2)
            self.cell(10, 4, f"{100 * value:.0f} %", align="R")
        centre = next((p.centre for p in points if p.centre is not None), None)
        if centre is not None:
            self.set_draw_color(*MUTED)
            self.set_dash_pattern(dash=1.5, gap=1)
            self.line(left, y(centre), left + width, y(centre))
            self.set_dash_pattern()
        drawn = [(k, p) for k, p in enumerate(points) if p.value is not None]
        self.set_draw_color(*BAR)
        if len(drawn) > 1:
            self.polyline([(x(k), y(p.value or 0.0)) for k, p in drawn])
        for k, point in drawn:
            colour = LATE if point.signal else BAR
            self.set_draw_color(*colour)
            self.set_fill_color(*((255, 255, 255) if point.rough else colour))
            self.circle(x(k), y(point.value or 0.0), 1.1 if point.signal else 0.7, style="DF")
        every = max(1, -(-len(points) // 12))
        for k, point in enumerate(points):
            if k % every == 0:
                self.set_xy(x(k) - 6, top + height + 1)
                self.cell(12, 3.5, day_month(point.label), align="C")
        self.set_xy(self.l_margin, top + height + 6)


def latin(text: str) -> str:
    """What the built-in fonts can show; typographic signs by their plain cousins, the rest as "?"."""
    plain = text.replace("–", "-").replace("—", "-").replace("’", "'").replace("…", "...").replace("≤", "<=")
    return plain.encode("latin-1", "replace").decode("latin-1")
