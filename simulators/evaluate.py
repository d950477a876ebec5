"""Does one policy beat another? Paired runs on the same drawn calls, with intervals, and the bound beside them.

Every policy meets the same calls under the same seed, so most of the chance cancels in the difference. Intervals are 95 %
of Student's t over seeds. Runs are independent and go to Dask workers: local processes, or a cluster by address.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from scipy import stats

from simulators.bound import bound
from simulators.cityfile import City, read_city
from simulators.demand import draw_calls
from simulators.simulate import Setting, figures, prepare, run
from simulators.world import Faults

SEEDS_MAX = 1_000
METRICS = (
    ("p1_in_time", "P1 <= batas / deadline, %", True),
    ("p1_420", "P1 <= 420 s, %", True),
    ("p1_mean_s", "P1 rerata / mean, s", False),
    ("p1_p99_s", "P1 p99, s", False),
    ("p2_on_time", "P2 tepat / on time, %", True),
    ("p3_on_time", "P3 tepat / on time, %", True),
    ("worst_zones", "zona terburuk / worst tenth of zones, %", True),
    ("redirects", "pengalihan / redirects per unit-shift", False),
    ("moves_from_post", "geser dari pos / moves from post per unit-shift", False),
    ("moves_on_the_way", "geser di jalan / moves on the way per unit-shift", False),
)
"""key, label, whether more is better."""


class Scenario(msgspec.Struct, frozen=True):
    """Under which conditions policies are compared."""

    days: int = 15
    deadline_s: float | None = None
    street_posts: int = 0
    travel_cv: float = 0.0
    surge: float = 1.0
    posts_lost: int = 0
    """The stations with most demand around them are closed, this many."""


class Run(msgspec.Struct, frozen=True):
    policy: str
    seed: int
    values: dict[str, float]


class Comparison(msgspec.Struct, frozen=True):
    """One policy against the first: mean, and mean difference with the half width of its 95 % interval."""

    policy: str
    mean: dict[str, float]
    gain: dict[str, float]
    half_width: dict[str, float]


@lru_cache(maxsize=2)
def city_of(folder: str) -> City:
    """Read once a process: the road table takes seconds to build."""
    return read_city(Path(folder))


@lru_cache(maxsize=8)
def setting_of(folder: str, deadline_s: float | None, street_posts: int) -> Setting:
    return prepare(city_of(folder), deadline_s, street_posts)


def one_run(folder: str, policy: str, seed: int, scenario: Scenario) -> Run:
    """One policy through one seed's calls. Runs on a worker."""
    setting = setting_of(folder, scenario.deadline_s, scenario.street_posts)
    calls = draw_calls(setting.city, seed, scenario.days, scenario.surge)
    lost = frozenset(busiest_posts(setting, scenario.posts_lost))
    target_s = scenario.deadline_s if scenario.deadline_s is not None else setting.terms.target_s[0]
    log, wall_s = run(setting, calls, setting.policy(policy, lost), seed, Faults(travel_cv=scenario.travel_cv), lost)
    found = figures(setting, calls, log, policy, wall_s, target_s)
    by = found["priority"]
    values = {
        "p1_in_time": 100.0 * by["1"]["share_within_deadline"],
        "p1_420": 100.0 * by["1"]["share_within_420"],
        "p1_mean_s": by["1"]["mean_s"],
        "p1_p99_s": by["1"]["p99_s"],
        "p2_on_time": 100.0 * by["2"]["share_within_target"] if "2" in by else math.nan,
        "p3_on_time": 100.0 * by["3"]["share_within_target"] if "3" in by else math.nan,
        "worst_zones": 100.0 * (found["worst_decile_zone_share"] or 0.0),
        "redirects": found["redirects_per_unit_shift"],
        "moves_from_post": found["moves_from_post_per_unit_shift"],
        "moves_on_the_way": found["moves_on_the_way_per_unit_shift"],
        "wall_s": wall_s,
    }
    return Run(policy, seed, values)


def busiest_posts(setting: Setting, count: int) -> list[str]:
    """The `count` stations that cover most demand."""
    if count == 0:
        return []
    coverage = setting.coverage()
    share = coverage.posts("lights") @ coverage.weight
    order = [coverage.post_codes[i] for i in np.argsort(-share, kind="stable").tolist()]
    return [code for code in order if not setting.region.posts[code].street][:count]


def one_bound(folder: str, seed: int, scenario: Scenario) -> dict[str, float]:
    setting = setting_of(folder, scenario.deadline_s, scenario.street_posts)
    calls = draw_calls(setting.city, seed, scenario.days, scenario.surge)
    target_s = scenario.deadline_s if scenario.deadline_s is not None else setting.terms.target_s[0]
    return bound(setting.city.net, setting.region, calls, target_s).shares()


def evaluate(
    folder: Path, policies: Sequence[str], seeds: Sequence[int], scenario: Scenario, workers: int,
    scheduler: str | None = None, progress: Callable[[int, int], None] | None = None,
) -> list[Run]:  # fmt: skip
    """All runs of policies x seeds. `workers` 0 runs them here, one after the other."""
    if not 1 <= len(seeds) <= SEEDS_MAX:
        raise ValueError(f"seeds: 1..{SEEDS_MAX}")
    jobs = [(str(folder.resolve()), policy, seed, scenario) for seed in seeds for policy in policies]
    runs: list[Run] = []
    for found in _carried_out(jobs, workers, scheduler):
        runs.append(found)
        if progress is not None:
            progress(len(runs), len(jobs))
    return sorted(runs, key=lambda r: (policies.index(r.policy), r.seed))


def _carried_out(
    jobs: list[tuple[str, str, int, Scenario]], workers: int, scheduler: str | None
) -> Iterator[Run]:  # fmt: skip
    if scheduler is None and workers == 0:
        yield from (one_run(*job) for job in jobs)
        return
    from distributed import Client, LocalCluster, as_completed

    cluster = None
    if scheduler is None:
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
    with Client(scheduler if cluster is None else cluster) as client:  # type: ignore[no-untyped-call]
        futures = [client.submit(one_run, *job, pure=False) for job in jobs]
        for future in as_completed(futures):  # type: ignore[no-untyped-call]
            yield future.result()
    if cluster is not None:
        cluster.close()


def compare(runs: Sequence[Run]) -> list[Comparison]:
    """Each policy against the first one named, paired by seed."""
    order = list(dict.fromkeys(r.policy for r in runs))
    table = {p: {r.seed: r.values for r in runs if r.policy == p} for p in order}
    base = table[order[0]]
    found = []
    for policy in order:
        seeds = sorted(base.keys() & table[policy].keys())
        mean, gain, half = {}, {}, {}
        for key, _, _ in METRICS:
            values = np.array([table[policy][s][key] for s in seeds])
            difference = values - np.array([base[s][key] for s in seeds])
            mean[key] = float(values.mean())
            gain[key] = float(difference.mean())
            half[key] = half_width(difference)
        found.append(Comparison(policy, mean, gain, half))
    return found


def half_width(values: np.ndarray) -> float:
    """Half the 95 % interval of a mean, Student's t; NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return math.nan
    return float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n))


def plot(comparisons: Sequence[Comparison], bounds: dict[str, float], title: str, file: Path) -> None:
    """Shares in time with intervals of the difference, bound and reach as lines. The suffix (.png, .svg) decides the format."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8.0, 0.6 * len(comparisons) + 1.8))
    names = [c.policy for c in comparisons][::-1]
    values = [c.mean["p1_in_time"] for c in comparisons][::-1]
    errors = [0.0 if math.isnan(c.half_width["p1_in_time"]) else c.half_width["p1_in_time"] for c in comparisons][::-1]
    axes.barh(names, values, xerr=errors, color="#1f6f8b", ecolor="#222222", capsize=3)
    for y, value in enumerate(values):
        axes.text(1.0, y, f"{value:.1f} %", va="center", color="white", fontsize=9)
    for (name, share), style in zip(bounds.items(), (":", "--", "-"), strict=False):
        axes.axvline(
            100.0 * share, color="#b23a48", linestyle=style, label=f"{name.replace('_', ' ')} {100 * share:.1f}"
        )
    axes.set_xlim(0.0, 100.0)
    axes.set_xlabel("P1 tepat waktu / in time, %")
    axes.set_title(title, fontsize=10)
    if bounds:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncol=3, fontsize=8, frameon=False)
    figure.savefig(file, bbox_inches="tight", dpi=150)
    plt.close(figure)
