"""Numbers, times and codes as an Indonesian reader writes them. Text only."""

from __future__ import annotations

from datetime import datetime, timedelta

from sla.groups import local
from sla.sentences import clock
from sla.statistics import Share

MONTHS = (
    "Januari", "Februari", "Maret", "April", "Mei", "Juni",
    "Juli", "Agustus", "September", "Oktober", "November", "Desember",
)  # fmt: skip
WEEKDAYS = ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu")
OFFSETS = {7.0: "WIB", 8.0: "WITA", 9.0: "WIT"}
NOTHING = "-"

WHY: dict[str, str] = {
    "over_target": "unit tiba setelah 7 menit",
    "no_arrival": "kedatangan tidak tercatat (dihitung terlambat)",
    "no_start": "dering pertama tidak tercatat (dihitung terlambat)",
    "reversed": "tiba tercatat sebelum dering (dihitung terlambat)",
    "settled_late": "sudah terlambat saat dinilai; catatan diubah kemudian",
    "not_priority_1": "bukan prioritas 1",
    "pending": "masih berjalan, belum 7 menit",
    "cancelled_in_time": "dibatalkan sebelum 7 menit, dengan alasan",
    "duplicate": "laporan ganda, dihitung pada kejadian induknya",
    "split_off_on_time": "pecahan kejadian lain yang tepat waktu",
    "settled_left_out": "bukan P1 saat dinilai (P1 baru setelah unit tiba)",
}
ODD: dict[str, str] = {
    "line_missing": "baris jurnal hilang",
    "line_again": "baris jurnal berulang (diabaikan)",
    "clock_ran_back": "jam server mundur",
    "step_after_arrival": "langkah tercatat setelah tiba",
    "arrival_without_departure": "tiba tanpa catatan berangkat",
    "device_reversed": "jam gawai mundur",
    "ring_in_future": "dering dari masa depan",
    "time_without_zone": "waktu tanpa zona",
    "device_ahead": "jam gawai lebih dari 1 menit di depan",
    "unknown_incident": "kejadian tidak dikenal",
    "unknown_assignment": "penugasan tidak dikenal",
    "unknown_report": "laporan tidak dikenal",
    "incident_opened_again": "kejadian dibuka dua kali",
    "call_presented_again": "panggilan tercatat dua kali",
    "correction_impossible": "koreksi jam mustahil",
    "merge_impossible": "penggabungan mustahil",
    "unmerge_impossible": "pemisahan mustahil",
}


def whole(n: int | None) -> str:
    """12554 -> 12.554"""
    return NOTHING if n is None else f"{n:,}".replace(",", ".")


def number(x: float | None, digits: int = 1) -> str:
    """0.7326 -> 0,7"""
    if x is None:
        return NOTHING
    return f"{x:,.{digits}f}".replace(",", " ").replace(".", ",").replace(" ", ".")


def percent(x: float | None, digits: int = 1) -> str:
    return NOTHING if x is None else f"{number(100.0 * x, digits)}\u00a0%"


def minutes(seconds: float | None) -> str:
    """425.4 -> 7:05"""
    return NOTHING if seconds is None else clock(seconds)


def interval(share: Share) -> str:
    if share.low is None or share.high is None:
        return NOTHING
    return f"{number(100 * share.low)}-{number(100 * share.high)}\u00a0%"


def duration(seconds: float) -> str:
    """5025 -> 1 jam 24 mnt; 95 -> 1 mnt 35 dtk"""
    whole_s = round(seconds)
    hours, rest = divmod(whole_s, 3600)
    mins, secs = divmod(rest, 60)
    if hours:
        return f"{whole(hours)} jam {mins} mnt"
    return f"{mins} mnt {secs} dtk" if mins else f"{secs} dtk"


def day(at: datetime, utc_offset_h: float) -> str:
    t = local(at, utc_offset_h)
    return f"{t.day} {MONTHS[t.month - 1]} {t.year}"


def moment(at: datetime | None, utc_offset_h: float, seconds: bool = True) -> str:
    if at is None:
        return NOTHING
    t = local(at, utc_offset_h)
    zone = OFFSETS.get(utc_offset_h, f"UTC{utc_offset_h:+g}")
    return f"{t.day} {MONTHS[t.month - 1][:3]} {t.year} {t:%H:%M:%S} {zone}" if seconds else f"{t:%H:%M} {zone}"


def period(since: datetime, until: datetime, utc_offset_h: float) -> str:
    """Whole days and whole months by their names, anything else from moment to moment."""
    first, last = local(since, utc_offset_h), local(until, utc_offset_h)
    midnight = (first.hour, first.minute, first.second, last.hour, last.minute, last.second) == (0,) * 6
    if not midnight:
        return f"{moment(since, utc_offset_h)} sampai {moment(until, utc_offset_h)}"
    end = last - timedelta(days=1)
    if first.date() == end.date():
        return f"{WEEKDAYS[first.weekday()]}, {day(since, utc_offset_h)}"
    whole_month = first.day == 1 and last.day == 1 and (first + timedelta(days=32)).replace(day=1).date() == last.date()
    if whole_month:
        return f"{MONTHS[first.month - 1]} {first.year}"
    return f"{first.day} {MONTHS[first.month - 1]} {first.year} - {end.day} {MONTHS[end.month - 1]} {end.year}"
