"""SQL by name: one statement a file in a package's `sql/` folder, `statements("dispatch")["append_batch"]`.

Text stays in `.sql` files so that it can be read, linted and prepared against the schema by one test. Nothing is ever
pasted into a statement; every value is a parameter.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType


@functools.cache
def statements(package: str) -> Mapping[str, str]:
    """Every statement of `<package>/sql/`, by file name without `.sql`."""
    found = {
        entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8").strip().removesuffix(";")
        for entry in (files(package) / "sql").iterdir()
        if entry.name.endswith(".sql")
    }
    return MappingProxyType(dict(sorted(found.items())))


SQL = statements("dispatch")
