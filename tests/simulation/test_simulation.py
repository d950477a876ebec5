"""Two hundred lives of the whole stack under faults, the same life twice, and known bugs that must be found."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.simulation.faults import Faults
from tests.simulation.mutants import MUTANTS
from tests.simulation.run import run_outage, run_seed
from tests.simulation.world import Result

SEEDS = 200
AT_ONCE = 50
"""Seeds a test, so that one fits the time limit on a busy machine."""
FAILED_ONCE = (1, 6, 17, 138, 154, 158, 20153, 20212, 20717, 90456, 90492)
"""Seeds that found something while this was written; run apart, so that they stay when SEEDS changes.

90456: of two spooled batches drained together the first had been written before; the second's answer, which led to no line, was
dropped. 90492: parting what was merged left an incident without any report, and the decision failed.
1: projection rows from the future of their lines; an edit that settled a pending incident. 6: a spool that could not be
deleted was never tried again. 17: leading with database and disk both refusing ended in a traceback. 154: a note on an incident that a detach had opened was
lost when it was decided anew. 158: a new leader whose clock was behind the journal's left a crowd of commands unplanned.
138: a drain that wrote some of several batches gave them up with the rest. 20153: a writer that was being ended while the disk refused went on
for ever. 20212, 20717: two leaders that had given no number yet both began with the first.
"""
MUTANT_SEEDS = 40
PROJECT = Path(__file__).resolve().parents[2]


def repeat(result: Result) -> str:
    return f"repeat with: python -m tests.simulation --seed {result.seed}   ({result.violation})"


def run_all(seeds: Iterable[int]) -> list[Result]:
    workers = min(2, os.cpu_count() or 1)
    if "PYTEST_XDIST_WORKER" in os.environ:
        return [run_seed(seed) for seed in seeds]  # the other cores have work already
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(run_seed, seeds, chunksize=5))


@pytest.mark.timeout(600)  # 20 s on two idle cores; machines that run tests are not idle
@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_no_acknowledged_report_is_lost_doubled_or_forgotten_whatever_breaks(
    first: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every invariant of `watch` after every commit, publication and acknowledgement; then healing and a good end."""
    results = run_all(range(first, first + AT_ONCE))
    faults: Counter[str] = Counter()
    for result in results:
        faults.update(result.faults)
    with capsys.disabled():
        reports = sum(r.acked_reports for r in results)
        print(f"\nseeds {first}-{first + AT_ONCE - 1}: {reports} reports acknowledged, {sum(faults.values())} faults")
    assert [repeat(r) for r in results if r.violation is not None] == []
    assert all(r.acked_reports > 0 for r in results), "a run in which nobody was heard proves nothing"
    missing = {kind for kind in Faults.names() if not faults[kind]}
    assert not missing, f"never injected: {missing}"


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_seeds_that_once_failed_stay_whole(seed: int) -> None:
    """What was found once is looked for again."""
    result = run_seed(seed)
    assert result.violation is None, repeat(result)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("outage_s", [60.0, 3600.0])
def test_a_database_that_is_away_for_a_minute_or_an_hour_costs_nothing(
    outage_s: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything accepted meanwhile drains in order into the same leader's journal, once, and nothing is decided anew."""
    result = run_outage(3, outage_s)
    with capsys.disabled():
        print(
            f"\n{outage_s:.0f} s without a database: {result.faults['acknowledged in the outage']} acknowledged meanwhile"
        )
    assert result.violation is None
    assert result.faults["acknowledged in the outage"] > outage_s / 4


def test_the_same_seed_gives_the_same_life_to_the_byte() -> None:
    """Also in another process with another hash seed: nothing hangs on the order of a set or an address."""
    here = run_seed(12).digest
    for hash_seed in ("0", "4711"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "12"],
            cwd=PROJECT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split()[-1] == here


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__name__)
def test_a_planted_bug_is_found(mutant: object) -> None:
    """A net that catches nothing is no net."""
    for seed in range(1, MUTANT_SEEDS + 1):
        with mutant():  # type: ignore[operator]
            if run_seed(seed).violation is not None:
                return
    pytest.fail(f"{MUTANT_SEEDS} seeds did not find it")
