"""Strict tables: how a region pack's CSV and TOML files are read, and how its mistakes are told.

Nothing is guessed and nothing stops at the first mistake: every cell that cannot be used becomes a `Problem` naming file,
row and column, so that somebody writing a pack mends everything in one go. Rows are counted as an editor shows them: the
header is row 1.
"""

from __future__ import annotations

import csv
import io
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

FILE_BYTES_MAX = 8_000_000
"""Far above any city's tables; keeps a wrong file (a video, a database dump) from filling the memory."""
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,31}")
"""Codes are short and plain because they stand in URLs, file names and on radio."""
TEXT_MAX = 200
"""Names that fit a screen's line; longer text belongs in the documents."""

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


class Bad(Exception):  # noqa: N818 - a refused cell, always caught in this module
    """A cell that cannot be used; becomes a Problem where file, row and column are known."""

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


Parse = Callable[[str], Any]


class Column(NamedTuple):
    """A column every row must have; `parse` turns the trimmed cell into a value or raises Bad."""

    name: str
    parse: Parse


class Row(NamedTuple):
    line: int
    values: dict[str, Any]


# --- cells


def text(cell: str) -> str:
    if not cell:
        raise Bad("empty_value")
    if len(cell) > TEXT_MAX:
        raise Bad("too_long", limit=TEXT_MAX)
    return cell


def optional_text(cell: str) -> str:
    return text(cell) if cell else ""


def code(cell: str) -> str:
    if not cell:
        raise Bad("empty_value")
    if not CODE.fullmatch(cell):
        raise Bad("bad_code", value=cell[:64])
    return cell


def codes(cell: str) -> tuple[str, ...]:
    """A list in one cell, separated by semicolons; empty is an empty list."""
    return tuple(code(part.strip()) for part in cell.split(";")) if cell else ()


def number(low: float, high: float) -> Parse:
    def parse(cell: str) -> float:
        if not cell:
            raise Bad("empty_value")
        try:
            value = float(cell)
        except ValueError:
            raise Bad("not_a_number", value=cell[:64]) from None
        if not math.isfinite(value):
            raise Bad("not_a_number", value=cell[:64])
        if not low <= value <= high:
            raise Bad("out_of_range", value=cell[:64], low=low, high=high)
        return value

    return parse


def whole(low: int, high: int) -> Parse:
    number_of = number(low, high)

    def parse(cell: str) -> int:
        value = number_of(cell)
        if value != int(value):
            raise Bad("not_whole", value=cell[:64])
        return int(value)

    return parse


def choice(*allowed: str) -> Parse:
    def parse(cell: str) -> str:
        if cell not in allowed:
            raise Bad("not_a_choice", value=cell[:64], allowed=", ".join(allowed))
        return cell

    return parse


def yes_no(cell: str) -> bool:
    return bool(choice("yes", "no")(cell) == "yes")


# --- files


@cache
def fields_of(shape: type[Any]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The struct's fields; resolving their annotations is what loading a pack would otherwise spend its time on."""
    return msgspec.structs.fields(shape)


class Files:
    """The files of one pack, with those it lacks taken from the pack it stands on. Collects problems."""

    def __init__(self, folder: Path, base: Path | None = None) -> None:
        self.folder = folder
        self.base = base
        self.problems: list[Problem] = []

    def report(self, file: str, problem: str, row: int | None = None, column: str | None = None, **detail: Any) -> None:
        self.problems.append(Problem(file, problem, row, column, detail))

    def bytes_of(self, file: str, required: bool = True) -> bytes | None:
        for folder in (self.folder, self.base):
            if folder is None or not (folder / file).is_file():
                continue
            if (folder / file).stat().st_size > FILE_BYTES_MAX:
                self.report(file, "too_big", limit=FILE_BYTES_MAX)
                return None
            return (folder / file).read_bytes()
        if required:
            self.report(file, "missing_file")
        return None

    def text_of(self, file: str, required: bool = True) -> str | None:
        data = self.bytes_of(file, required)
        if data is None:
            return None
        try:
            return data.decode("utf-8-sig")  # Excel writes a byte order mark; it is harmless
        except UnicodeDecodeError as error:
            self.report(file, "not_utf8", position=error.start + 1)
            return None

    def toml(self, file: str, required: bool = True) -> dict[str, Any] | None:
        content = self.text_of(file, required)
        if content is None:
            return None
        try:
            return tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            self.report(file, "bad_toml", detail=str(error))
            return None

    def sheet(self, file: str, columns: Sequence[Column], key: str) -> list[Row]:
        """The usable rows of a CSV whose header has exactly these columns, in any order, with `key` unique."""
        content = self.text_of(file)
        if content is None:
            return []
        reader = csv.reader(io.StringIO(content, newline=""), strict=True)
        rows: list[Row] = []
        first_line: dict[Any, int] = {}
        try:
            header = [cell.strip() for cell in next(reader, [])]
            if not self._header_fits(file, header, columns):
                return []
            parse = {column.name: column.parse for column in columns}
            empty = True
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                empty = False
                row = self._row(file, reader.line_num, header, cells, parse)
                if row is None:
                    continue
                value = row.values[key]
                if value in first_line:
                    self.report(file, "repeated", row.line, key, value=value, first=first_line[value])
                    continue
                first_line[value] = row.line
                rows.append(row)
            if empty:
                self.report(file, "empty_table")
        except csv.Error as error:
            self.report(file, "bad_csv", reader.line_num, detail=str(error))
        return rows

    def _header_fits(self, file: str, header: list[str], columns: Sequence[Column]) -> bool:
        if len(header) == 1 and ";" in header[0]:
            self.report(file, "wrong_delimiter", 1)
            return False
        known = [column.name for column in columns]
        before = len(self.problems)
        for index, name in enumerate(header):
            if name not in known:
                self.report(file, "extra_column", 1, name or f"#{index + 1}", allowed=", ".join(known))
            elif name in header[:index]:
                self.report(file, "repeated_column", 1, name)
        for name in known:
            if name not in header:
                self.report(file, "missing_column", 1, name)
        return len(self.problems) == before

    def _row(self, file: str, line: int, header: list[str], cells: list[str], parse: Mapping[str, Parse]) -> Row | None:
        if len(cells) != len(header):
            self.report(file, "cell_count", line, found=len(cells), expected=len(header))
            return None
        values: dict[str, Any] = {}
        for name, cell in zip(header, cells, strict=True):
            try:
                values[name] = parse[name](cell.strip())
            except Bad as bad:
                self.report(file, bad.code, line, name, **bad.detail)
        return Row(line, values) if len(values) == len(header) else None

    def entry(self, file: str, row: int | None, data: object, shape: type[Any], column: str = "") -> Any | None:
        """`data` as the struct `shape`, or None after reporting unknown, missing or wrongly typed fields.

        Field names come from the struct's encoded names, so `from`-like words may be renamed there.
        """
        if not isinstance(data, dict):
            self.report(file, "bad_value", row, column or None, detail=f"{type(data).__name__}, table expected")
            return None
        fields = fields_of(shape)  # type: ignore[arg-type]  # mypy doubts that a class is hashable
        prefix = f"{column}." if column else ""
        before = len(self.problems)
        for name in data:
            if name not in {field.encode_name for field in fields}:
                allowed = ", ".join(field.encode_name for field in fields)
                self.report(file, "unknown_field", row, prefix + str(name), allowed=allowed)
        values: dict[str, Any] = {}
        for field in fields:
            if field.encode_name not in data:
                if field.required:
                    self.report(file, "missing_field", row, prefix + field.encode_name)
                continue
            try:
                values[field.name] = msgspec.convert(data[field.encode_name], field.type)
            except msgspec.ValidationError as error:
                self.report(file, "bad_value", row, prefix + field.encode_name, detail=str(error))
        return shape(**values) if len(self.problems) == before else None
