"""`python -m tests.simulation --seed N [--seeds COUNT]`: run seeds, print what was hurt and what was found."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import run_seed
from tests.simulation.world import Result


def report(results: list[Result], took_s: float) -> str:
    faults: Counter[str] = Counter()
    for result in results:
        faults.update(result.faults)
    lines = [f"{count:9,}  {name}" for name, count in sorted(faults.items(), key=lambda f: (-f[1], f[0]))]
    failed = [r for r in results if r.violation is not None]
    virtual_s = sum(r.virtual_s for r in results)
    return "\n".join(
        [
            *lines,
            f"{len(results):,} seeds, {virtual_s:,.0f} virtual seconds in {took_s:.1f} s; "
            f"{sum(r.lines for r in results):,} journal lines, {sum(r.acked for r in results):,} acknowledgements, "
            f"{sum(r.acked_reports for r in results):,} of them reports",
            *(f"FAILED  python -m tests.simulation --seed {r.seed}   {r.violation}" for r in failed),
            f"{len(failed)} failed",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.seeds)
    began_s = time.perf_counter()
    if asked.processes > 1:
        with ProcessPoolExecutor(asked.processes) as pool:
            results = list(pool.map(run_seed, seeds, chunksize=4))
    else:
        results = [run_seed(seed) for seed in seeds]
    print(report(results, time.perf_counter() - began_s))
    if asked.seeds == 1:
        print(f"digest {results[0].digest}")
    return 1 if any(r.violation for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
