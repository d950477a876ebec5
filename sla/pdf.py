"""The same reports as PDF: of a period, and of one incident. How a page is drawn: `page.py`."""

from __future__ import annotations

from dispatch.region import Region
from sla import wording
from sla.dossier import Dossier
from sla.figures import Figures
from sla.page import INK, LATE, MUTED, Page
from sla.report import (
    GROUP_HEADINGS,
    UNITS_LISTED_MAX,
    busiest,
    label,
    late_tables,
    title,
    verdict_text,
    warnings_text,
    zero_text,
)
from sla.sentences import NAMES

LATE_PRINTED_MAX = 100  # three pages; nobody reads more on paper


UNITS_PRINTED_MAX = 30
"""A page of units; the HTML report has more."""


def period_pdf(f: Figures, region: Region | None = None, note: str = "") -> bytes:
    """The report of a period; `note` says of what part of it, when it is not the whole."""
    offset_h = region.utc_offset_h if region is not None else 7.0
    s = f.summary
    page = Page(f"{title(f, offset_h)} · {f.definition}")
    page.set_title(title(f, offset_h))
    page.set_lang("id")
    page.text_line(title(f, offset_h), 17, bold=True)
    page.text_line(
        f"Definisi {f.definition} · disusun {wording.moment(f.made_at, offset_h)} · jurnal sampai baris {wording.whole(f.last_seq)}"
        + (" · untuk umum" if f.public else ""), 8.5, MUTED,
    )  # fmt: skip
    if note:
        page.text_line(f"Hanya {note}. Telepon, unit dan waktu tanpa unit tidak ikut disaring.", 10, bold=True)
    page.ln(3)
    if s.missing_lines:
        page.text_line(
            f"{wording.whole(s.missing_lines)} baris jurnal hilang; setiap baris mengurangi angka.", 10, LATE, True
        )
    if f.spike.alarm:
        page.text_line("Waktu tiba menumpuk tepat di bawah 7 menit: periksa kejujuran pencatatan.", 10, LATE, True)
    if f.approximate:
        page.text_line("Jaringan jalan masih perkiraan: detik perjalanan pada penjelasan adalah taksiran.", 8.5, MUTED)
    page.text_line(wording.percent(s.headline.share), 30, bold=True)
    page.text_line("kejadian prioritas 1 didatangi unit yang mampu dalam 7 menit sejak dering pertama", 11)
    page.text_line(
        f"{wording.whole(s.headline.within)} dari {wording.whole(s.headline.n)} kejadian; selang 95 %: {wording.interval(s.headline)}."
        " Yang waktunya tidak tercatat dihitung terlambat.", 8.5, MUTED,
    )  # fmt: skip
    worst = next((z for z in f.zones if z.share is not None and (z.n or 0) >= 5), None)
    page.tiles(
        [
            ("p50", wording.minutes(s.response.p50)),
            ("p90", wording.minutes(s.response.p90)),
            ("p99", wording.minutes(s.response.p99)),
            ("Pengangkut p50", wording.minutes(s.transport.p50)),
            ("Seluruh unit p90", wording.minutes(s.full.p90)),
        ]
    )
    if worst is not None:
        page.text_line(
            f"Kecamatan terlemah: {worst.name}, {wording.percent(worst.share)} dari {wording.whole(worst.n)}.", 9.5
        )
    page.heading("Ke mana detiknya pergi")
    page.phase_bars([(p.name, p.p50_s, p.p90_s, p.budget_s) for p in s.phases])
    page.text_line("p50 (tua) dan p90 (muda) tiap tahap; garis tegak: jatahnya, berjumlah 420 s.", 8, MUTED)
    if len(f.days) > 1:
        page.heading("Hari demi hari")
        page.control_chart(f.days)
        page.text_line(
            "Biru: kebetulan biasa. Merah: bukan - di luar pita, atau delapan hari berturut-turut di satu sisi garis tengah."
            " Kosong: terlalu sedikit untuk dinilai.", 8, MUTED,
        )  # fmt: skip
    if f.late.late:
        page.heading("Mengapa terlambat")
        page.text_line(
            f"{wording.whole(f.late.late)} terlambat; {wording.whole(f.late.explained)} akan tepat waktu bila satu hal saja beres.",
            9.5,
        )
    if f.late.causes:
        page.rows(
            ("Sebab", "Penentu", "Cukup sendirian", "Terjadi pada", "Rata-rata s"),
            [
                (
                    NAMES.get(c.code, (c.code, c.code))[0],
                    wording.whole(c.decisive),
                    wording.whole(c.would_save),
                    wording.whole(c.present),
                    wording.number(c.seconds / c.present, 0) if c.present else "-",
                )
                for c in f.late.causes
            ],
            (60, 24, 32, 28, 28),
        )
    for heading, late_rows in late_tables(f, region):
        page.heading(heading)
        page.rows(
            (heading.removeprefix("Terlambat menurut ").capitalize(), "Sebab tersering", "Terlambat"),
            [(name, cause, wording.whole(n)) for name, n, cause in late_rows],
            (70, 76, 24),
            text=2,
        )
    page.heading("Per kecamatan")
    page.rows(
        ("Kecamatan", "Dalam 7 menit", "Tepat", "Dihitung", "p90"),
        [
            (z.name, wording.percent(z.share), wording.whole(z.within), wording.whole(z.n), wording.minutes(z.p90_s))
            for z in f.zones
        ],
        (60, 32, 24, 28, 28),
    )
    for by, heading in GROUP_HEADINGS:
        if f.groups.get(by):
            page.heading(heading)
            page.rows(
                (heading.removeprefix("Per ").capitalize(), "Dalam 7 menit", "Selang 95 %", "Dihitung", "p50", "p90"),
                [
                    (
                        label(g.key, by, region),
                        wording.percent(g.share.share),
                        wording.interval(g.share),
                        wording.whole(g.share.n),
                        wording.minutes(g.response.p50),
                        wording.minutes(g.response.p90),
                    )
                    for g in f.groups[by][:UNITS_LISTED_MAX]
                ],
                (50, 30, 34, 24, 20, 20),
            )
            unlisted = len(f.groups[by]) - UNITS_LISTED_MAX
            if unlisted > 0:
                page.text_line(f"{wording.whole(unlisted)} lainnya ada dalam versi HTML.", 8, MUTED)
    _calls(page, f)
    page.heading("Peringatan dini")
    page.text_line(warnings_text(f), 9.5)
    _units(page, f)
    _left_out(page, f, offset_h)
    if f.late_list:
        page.heading("Setiap yang terlambat")
        for item in f.late_list[:LATE_PRINTED_MAX]:
            page.text_line(f"{item.incident_id} ({item.kind}): {item.sentence_id}", 8.5)
            page.ln(0.8)
        rest = f.late.late - min(len(f.late_list), LATE_PRINTED_MAX)
        if rest:
            page.text_line(f"{wording.whole(rest)} lainnya ada dalam berkas CSV.", 8, MUTED)
    return bytes(page.output())


def _calls(page: Page, f: Figures) -> None:
    c = f.calls
    page.heading("Telepon 112")
    page.rows(
        ("Ukuran", "Angka"),
        [
            ("Berdering", wording.whole(c.presented)),
            ("Diangkat", wording.whole(c.answered)),
            *((f"Diangkat dalam {limit} s", wording.percent(share.share)) for limit, share in c.within.items()),
            ("Terputus sebelum diangkat", wording.whole(c.abandoned)),
            ("Ditelepon balik", wording.whole(c.called_back)),
            ("Tidak pernah didengar", wording.whole(c.unheard)),
        ],
        (120, 50),
    )


def _units(page: Page, f: Figures) -> None:
    if not f.units:
        return
    page.heading("Pemakaian unit")
    page.text_line(
        f"{wording.whole(f.sent)} kali unit dikirim, {wording.whole(f.recalled)} ditarik sebelum tiba. {zero_text(f)}",
        9.5,
    )
    page.ln(1)
    page.rows(
        ("Unit", "UHU", "Dinas", "Tugas", "Pindah pos", "Rusak"),
        [
            (
                name,
                wording.percent(u.uhu),
                wording.duration(u.duty_s),
                wording.whole(u.jobs),
                wording.whole(u.moves),
                wording.duration(u.out_s),
            )
            for name, u in busiest(f)[:UNITS_PRINTED_MAX]
        ],
        (40, 26, 30, 24, 26, 26),
    )
    page.text_line(
        f"UHU: bagian waktu dinas yang terpakai. {UNITS_PRINTED_MAX} tersibuk; semua ada di versi HTML.", 8, MUTED
    )


def _left_out(page: Page, f: Figures, offset_h: float) -> None:
    s = f.summary
    page.heading("Yang tidak dihitung, dan yang janggal")
    body = [(f"Tidak dihitung: {wording.WHY.get(why, why)}", wording.whole(n)) for why, n in s.excluded.items()]
    body += [(f"Terlambat: {wording.WHY.get(why, why)}", wording.whole(n)) for why, n in s.late.items()]
    body += [("Terlambat hanya menurut jam server", wording.whole(s.late_by_server_only))]
    body += [("Diduga laporan ganda, belum diputuskan", wording.whole(s.suspected_duplicates))]
    body += [(f"Jurnal: {wording.ODD.get(odd, odd)}", wording.whole(n)) for odd, n in s.odd.items()]
    page.rows(("Alasan", "Banyak"), body, (140, 30))
    if f.corrections:
        page.heading("Koreksi jam")
        page.rows(
            ("Kejadian", "Semula", "Menjadi", "Oleh", "Dihitung"),
            [
                (
                    n.correction.incident_id,
                    wording.moment(n.before, offset_h),
                    wording.moment(n.correction.corrected_at, offset_h),
                    n.correction.author,
                    "ya" if n.counts else "tidak",
                )
                for n in f.corrections
            ],
            (34, 42, 42, 34, 20),
        )


def incident_pdf(i: Dossier) -> bytes:
    """The dossier of one incident."""
    page = Page(f"Kejadian {i.row.incident_id} · {i.definition}")
    page.set_title(f"Kejadian {i.row.incident_id}")
    page.set_lang("id")
    page.text_line(f"Kejadian {i.row.incident_id}", 17, bold=True)
    where = f" · {i.zone_name}" if i.zone_name else ""
    page.text_line(
        f"{i.row.kind} · prioritas tertinggi {i.row.priority}{where} · definisi {i.definition}"
        f" · disusun {wording.moment(i.made_at, i.utc_offset_h)}", 8.5, MUTED,
    )  # fmt: skip
    page.ln(3)
    if i.row.response_s is not None:
        page.text_line(wording.minutes(i.row.response_s), 30, LATE if i.row.verdict == "late" else INK, True)
    page.text_line(verdict_text(i.row), 11)
    page.text_line(f"Dering pertama {wording.moment(i.row.first_ring_at, i.utc_offset_h)}. Sasaran 7:00.", 8.5, MUTED)
    if i.explanation is not None:
        page.ln(2)
        page.text_line(i.explanation.sentence_id, 10.5, LATE)
    if i.phase_rows:
        page.heading("Ke mana detiknya pergi")
        page.phase_bars([(name, seconds, None, budget) for name, seconds, budget in i.phase_rows])
        page.text_line(f"Jumlah {wording.number(i.row.response_s)} s, tepat sama dengan waktu tanggap.", 8, MUTED)
    if i.counterfactual_rows:
        page.heading("Andai satu hal ini beres")
        page.rows(
            ("Bila ...", "Hemat", "Tiba pada", "Cukup"),
            [
                (
                    text,
                    f"{wording.number(c.saved_s, 0)} s",
                    wording.minutes(c.would_be_s),
                    "ya" if c.enough else "tidak",
                )
                for c, text in i.counterfactual_rows
            ],
            (112, 20, 24, 18),
        )
    page.heading("Unit")
    page.rows(
        ("Unit", "Ditugaskan", "Gawai", "Diterima", "Berangkat", "Geofence", "Tiba", "Pasien", "Akhir"),
        [(leg.unit_id, *leg.stamps, leg.end) for leg in i.legs],
        (18, 20, 20, 20, 20, 20, 20, 20, 20),
    )
    page.heading("Urutan kejadian")
    page.rows(("Detik", "Jam", "Yang terjadi", "Oleh"), i.lines, (18, 20, 104, 34), text=4)
    return bytes(page.output())
