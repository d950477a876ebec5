"""Small numbers in public tables: what must be blanked so that nobody can be pointed at, also by subtraction. Pure.

A cell of 1 to 4 may name a person ("the one drowning in Bulak in March"). Blanking it alone does not help when a row or
column total is printed: the reader subtracts. The table here is keys x periods with both kinds of totals, which covers
subtraction over areas (city minus the other kecamatan) and over time (month minus the other weeks). A blanked cell can be
computed exactly from such a table if and only if it is a bridge of the graph whose nodes are rows and columns and whose
edges are the blanked cells (Gusfield 1988, "A graph theoretic approach to statistical data security"); so cells are blanked
until no bridge is left. Bounds that follow from "no negative counts" are not considered: a reader may still know that a
blanked cell is at most so much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

SMALL_N = 5  # the usual threshold of health statistics: counts below five are not published
Cell = tuple[int, int]


def with_totals(counts: Sequence[Sequence[int]]) -> list[list[int]]:
    """The table as printed: a last column of row totals, a last row of column totals."""
    rows = [[*row, sum(row)] for row in counts]
    width = len(rows[0]) if rows else 1
    return [*rows, [sum(row[j] for row in rows) for j in range(width)]]


def bridges(blank: set[Cell]) -> set[Cell]:
    """Blanked cells a reader can compute: those whose row and column are not otherwise connected through blanks."""
    found = set()
    for cell in blank:
        rest = blank - {cell}
        reached, todo = {("r", cell[0])}, [("r", cell[0])]
        while todo:
            side, index = todo.pop()
            for row, column in rest:
                if (side == "r" and row == index) or (side == "c" and column == index):
                    other = ("c", column) if side == "r" else ("r", row)
                    if other not in reached:
                        reached.add(other)
                        todo.append(other)
        if ("c", cell[1]) not in reached:
            found.add(cell)
    return found


def lumped(counts: Mapping[str, tuple[int, int]], small_n: int = SMALL_N) -> set[str]:
    """Keys to be printed as one "others" line: every key with a cell of 1..small_n-1, and the next smallest until that line
    itself has none. Sums stay whole, so there is nothing to subtract. `counts`: (on time, late) by key.
    """

    def small(cells: Iterable[int]) -> bool:
        return any(0 < n < small_n for n in cells)

    together = {key for key, cells in counts.items() if small(cells)}
    rest = sorted((sum(cells), key) for key, cells in counts.items() if key not in together)
    while together and rest and small(sum(counts[k][j] for k in together) for j in (0, 1)):
        together.add(rest.pop(0)[1])
    return together


def blanks(counts: Sequence[Sequence[int]], small_n: int = SMALL_N) -> set[Cell]:
    """Cells of `with_totals(counts)` not to print: every 1..small_n-1, and whatever else keeps those from being computed.

    Zeros stay (nobody can be pointed at); further blanks are the smallest that close a circle, totals only as a last resort.
    """
    table = with_totals(counts)
    if any(n < 0 for row in table for n in row):
        raise AssertionError("counts cannot be negative")
    blank = {(i, j) for i, row in enumerate(table) for j, n in enumerate(row) if 0 < n < small_n}
    last_row, last_column = len(table) - 1, len(table[0]) - 1
    while open_cells := bridges(blank):
        choices: list[Cell] = []
        for i, j in sorted(open_cells):
            beside = [(i, c) for c in range(last_column + 1) if c != j] + [
                (r, j) for r in range(last_row + 1) if r != i
            ]
            choices += [cell for cell in beside if cell not in blank]
        if not choices:
            break  # their rows and columns are blank already: nothing is printed to subtract from
        blank.add(
            min(
                choices,
                key=lambda c: (table[c[0]][c[1]] == 0, c[0] == last_row, c[1] == last_column, table[c[0]][c[1]], c),
            )
        )
    return blank
