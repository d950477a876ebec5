"""Strict tables: how a region pack's CSV and TOML files are read.

Nothing is guessed and nothing stops at the first mistake: every cell that cannot be used becomes a `Problem` naming file,
row and column. Rows are counted as an editor shows them: the header is row 1.
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

from dispatch.pack_problems import Problem

FILE_BYTES_MAX = 8_000_000
"""Far above any city's tables; keeps a wrong file (a video, a database dump) from filling the memory."""
SHARED = frozenset({"capabilities.csv", "kinds.csv", "unit_types.csv", "plans.toml", "triage.toml", "words.toml"})
"""What a regency may take over from another: how the country speaks of and answers emergencies. Never its places, agencies,
fleet or demand, which would be wrong without anybody noticing."""
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,31}")
"""Codes are short and plain because they stand in URLs, file names and on radio."""
TEXT_MAX = 200
"""Names that fit a screen's line; longer text belongs in the documents."""


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
    """The files of one pack, with the SHARED ones it lacks taken from the pack it stands on. Collects problems."""

    def __init__(self, folder: Path, base: Path | None = None) -> None:
        self.folder = folder
        self.base = base
        self.problems: list[Problem] = []
        self._keys: dict[str, set[Any]] = {}

    def knows(self, file: str, key: object) -> bool:
        """Whether the table has a row with this key, even one that is unusable for another reason.

        True when the table could not be read at all: its own problem is told once, not again by everything that refers
        to it.
        """
        keys = self._keys.get(file)
        return not keys or key in keys

    def count(self, file: str) -> int:
        """Rows with a key of their own, usable or not."""
        return len(self._keys.get(file, ()))

    def report(self, file: str, problem: str, row: int | None = None, column: str | None = None, **detail: Any) -> None:
        self.problems.append(Problem(file, problem, row, column, detail))

    def bytes_of(self, file: str, required: bool = True) -> bytes | None:
        for folder in (self.folder, self.base if file in SHARED else None):
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

    def sheet(self, file: str, columns: Sequence[Column], key: str, required: bool = True) -> list[Row]:
        """The usable rows of a CSV whose header has exactly these columns, in any order, with `key` unique."""
        content = self.text_of(file, required)
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
                values = self._values(file, reader.line_num, header, cells, parse)
                value = values.get(key)
                if value is None:
                    continue
                if value in first_line:
                    self.report(file, "repeated", reader.line_num, key, value=value, first=first_line[value])
                    continue
                first_line[value] = reader.line_num
                if len(values) == len(columns):
                    rows.append(Row(reader.line_num, values))
            if empty:
                self.report(file, "empty_table")
        except csv.Error as error:
            self.report(file, "bad_csv", reader.line_num, detail=str(error))
        self._keys[file] = set(first_line)
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

    def _values(
        self, file: str, line: int, header: list[str], cells: list[str], parse: Mapping[str, Parse]
    ) -> dict[str, Any]:
        """The usable cells of one row."""
        values: dict[str, Any] = {}
        if len(cells) != len(header):
            self.report(file, "cell_count", line, found=len(cells), expected=len(header))
            return values
        for name, cell in zip(header, cells, strict=True):
            try:
                values[name] = parse[name](cell.strip())
            except Bad as bad:
                self.report(file, bad.code, line, name, **bad.detail)
        return values

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
