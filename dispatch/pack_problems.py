"""What can be wrong with a region pack, and how it is told.

Whoever writes a pack for another regency is not a programmer of this system: a problem names file, row and column, comes in
Indonesian and English, and all of them are told at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

TEXTS: Mapping[str, tuple[str, str]] = {
    "missing_file": ("berkas tidak ada", "the file is missing"),
    "too_big": ("berkas lebih besar dari {limit} byte", "the file is larger than {limit} bytes"),
    "not_utf8": (
        "bukan teks UTF-8 (byte ke-{position}); simpan ulang sebagai UTF-8",
        "not UTF-8 text (byte {position}); save it again as UTF-8",
    ),
    "bad_toml": ("TOML tidak dapat dibaca: {detail}", "the TOML cannot be read: {detail}"),
    "bad_csv": ("CSV tidak dapat dibaca: {detail}", "the CSV cannot be read: {detail}"),
    "wrong_delimiter": (
        "kolom dipisah titik koma; simpan ulang dengan koma",
        "columns are separated by semicolons; save it again with commas",
    ),
    "empty_table": ("tabel tidak berisi baris data", "the table has no rows"),
    "missing_column": ("kolom tidak ada", "the column is missing"),
    "extra_column": (
        "kolom tidak dikenal; yang sah: {allowed}",
        "unknown column; the columns are: {allowed}",
    ),
    "repeated_column": ("kolom ada dua kali", "the column stands twice"),
    "cell_count": (
        "{found} sel, kepala tabel punya {expected}; teks yang memuat koma harus diapit tanda kutip",
        "{found} cells, the header has {expected}; text with a comma needs quotation marks",
    ),
    "empty_value": ("kosong", "empty"),
    "too_long": ("lebih dari {limit} huruf", "longer than {limit} characters"),
    "bad_code": (
        "kode {value!r} hanya boleh huruf, angka, titik, garis bawah dan tanda hubung, paling panjang 32",
        "code {value!r} may hold only letters, digits, dots, underscores and hyphens, 32 at most",
    ),
    "not_a_number": (
        "{value!r} bukan angka (desimal memakai titik: -7.25)",
        "{value!r} is not a number (decimals take a point: -7.25)",
    ),
    "not_whole": ("{value!r} bukan bilangan bulat", "{value!r} is not a whole number"),
    "out_of_range": ("{value} di luar {low} sampai {high}", "{value} is outside {low} to {high}"),
    "not_a_choice": ("{value!r} bukan salah satu dari: {allowed}", "{value!r} is none of: {allowed}"),
    "repeated": ("{value!r} sudah ada di baris {first}", "{value!r} stands already in row {first}"),
    "unknown_reference": ("{value!r} tidak ada di {where}", "{value!r} is not in {where}"),
    "outside_region": (
        "titik ({lon}, {lat}) di luar kotak wilayah (barat, selatan, timur, utara) {bbox}",
        "point ({lon}, {lat}) is outside the region's box (west, south, east, north) {bbox}",
    ),
    "unknown_field": ("isian tidak dikenal; yang sah: {allowed}", "unknown field; the fields are: {allowed}"),
    "missing_field": ("isian wajib tidak ada", "the field is required"),
    "bad_value": ("nilai tidak sah: {detail}", "invalid value: {detail}"),
    "bad_requirement": (
        "{value!r} tidak dapat dibaca; tulis misalnya \"2 ambulance\" atau \"motorbike|ambulance\"",
        "{value!r} cannot be read; write for example \"2 ambulance\" or \"motorbike|ambulance\"",
    ),
    "unknown_capability": (
        "kemampuan {value!r} tidak ada di capabilities.csv",
        "capability {value!r} is not in capabilities.csv",
    ),
    "no_such_unit": (
        "tidak ada unit di units.csv yang mampu {value!r}",
        "no unit in units.csv can do {value!r}",
    ),
    "too_few_units": (
        "rencana meminta {wanted} unit {value!r}, armada hanya punya {have}",
        "the plan asks for {wanted} units of {value!r}, the fleet has {have}",
    ),
    "kind_without_plan": (
        "jenis {kind!r} P{priority} tidak punya rencana {where}",
        "kind {kind!r} P{priority} has no plan {where}",
    ),
    "plan_never_used": (
        "rencana ini tidak pernah terpilih: rencana di atasnya sudah mencakup semuanya",
        "this plan is never chosen: the plans above it cover everything it would",
    ),
    "bad_hours": (
        "jam {value} harus [dari, sampai) antara 0 dan 24 dan tidak sama",
        "hours {value} must be [from, to) between 0 and 24 and differ",
    ),
    "over_capacity": (
        "pos {post!r} menampung {capacity} unit, units.csv menaruh {units}",
        "post {post!r} holds {capacity} units, units.csv puts {units} there",
    ),
    "bad_box": (
        "kotak wilayah harus barat < timur dan selatan < utara dalam derajat",
        "the box must have west < east and south < north, in degrees",
    ),
    "repeated_kind": (
        "jenis {value!r} sudah punya pertanyaan di set {first!r}",
        "kind {value!r} already has the questions of set {first!r}",
    ),
    "bad_condition": (
        "syarat {value!r} harus menunjuk pertanyaan sebelumnya dan jawabannya",
        "condition {value!r} must name an earlier question and answers of it",
    ),
    "bad_thresholds": (
        "p1_from ({p1_from}) harus di atas p2_from ({p2_from}) dan keduanya di atas 0",
        "p1_from ({p1_from}) must be above p2_from ({p2_from}) and both above 0",
    ),
    "bad_shares": ("jumlah bagian {total} bukan 1", "the shares add up to {total}, not 1"),
    "base_of_base": (
        "pack dasar tidak boleh berdiri di atas pack lain",
        "a base pack must not stand on another pack",
    ),
}  # fmt: skip
"""Problem code -> its text in Indonesian and English."""


class Problem(msgspec.Struct, frozen=True):
    """One mistake in a pack. `row` counts lines of a CSV (header = 1) or entries of a TOML list (first = 1)."""

    file: str
    code: str
    row: int | None = None
    column: str | None = None
    detail: dict[str, Any] = {}

    def text(self, language: str = "id") -> str:
        """The mistake in words, starting with where it is."""
        english = language == "en"
        where = self.file
        if self.row is not None:
            where += f", {'row' if english else 'baris'} {self.row}"
        if self.column is not None:
            where += f", {'column' if english else 'kolom'} {self.column}"
        return f"{where}: {TEXTS[self.code][english].format(**self.detail)}"


class PackError(Exception):
    """A region pack that cannot be used, with everything that is wrong with it."""

    def __init__(self, folder: str, problems: Sequence[Problem]) -> None:
        self.folder = folder
        self.problems = tuple(problems)
        super().__init__(self.text())

    def text(self, language: str = "id") -> str:
        head = (
            f"Region pack {self.folder}: {len(self.problems)} problem(s)"
            if language == "en"
            else f"Pack wilayah {self.folder}: {len(self.problems)} masalah"
        )
        return "\n  ".join([head, *(problem.text(language) for problem in self.problems)])
