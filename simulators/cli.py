"""`siaga simulate`, `siaga evaluate`, `siaga bound`: cities in a box, for whoever wants to know before it costs a life."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from dispatch.model import Rejected
from dispatch.policies.registry import NAMES

CityDir = Annotated[Path, typer.Argument(help="Folder model kota atau paket wilayah / city model or region pack")]
CallFile = Annotated[Path | None, typer.Option("--calls", help="Berkas panggilan / call file; tanpa: diundi / drawn")]
Deadline = Annotated[float | None, typer.Option(help="Batas P1, detik / deadline of priority 1, s", min=60, max=7200)]
Seed = Annotated[int, typer.Option(min=0)]
Street = Annotated[int, typer.Option(help="Titik tunggu di jalan / waiting points on the street", min=0, max=200)]
Days = Annotated[int, typer.Option(help="Hari yang diundi / days drawn", min=2, max=400)]
TravelCv = Annotated[float, typer.Option(help="Koefisien variasi waktu tempuh / CV of travel time", min=0, max=2)]
JsonOut = Annotated[Path | None, typer.Option("--json", help="Tulis hasil / write the result here")]


def simulate(
    city_dir: CityDir,
    calls: CallFile = None,
    policy: Annotated[str, typer.Option(help=" | ".join(NAMES))] = "siaga",
    var: Annotated[Path, typer.Option(envvar="SIAGA_VAR", help="Simpanan jaringan jalan / road networks kept")] = Path(
        "var"
    ),
    deadline_s: Deadline = None,
    seed: Seed = 1,
    street_posts: Street = 0,
    days: Days = 15,
    years: Annotated[
        float, typer.Option(help="Lama untuk paket wilayah / span for a region pack", min=0.01, max=20)
    ] = 1.0,
    travel_cv: TravelCv = 0.0,
    hourly: Annotated[
        bool, typer.Option(help="Waktu tempuh menurut jam (paket wilayah) / travel times by the hour (region packs)")
    ] = False,
    json: JsonOut = None,
) -> None:
    """Jalankan satu kota dengan mesin yang sama seperti layanan. / Run a city on the engine that runs live."""
    from simulators import simulate as room

    _known(policy)
    try:
        if (city_dir / "region.toml").is_file():
            from simulators import packs

            result = packs.simulate(city_dir, policy, years, seed, var, travel_cv, hourly)
        else:
            result = room.simulate(city_dir, calls, policy, deadline_s, seed, street_posts, days, travel_cv=travel_cv)
    except Rejected as refused:
        _fail(refused)
    _print(result, json)


def evaluate(
    city_dir: CityDir,
    policies: Annotated[
        str, typer.Option(help="Dipisah koma; yang pertama pembanding / comma-separated, first is the base")
    ] = ("closest+redispatch,closest,dmexclp,dmexclp+moveup,siaga"),
    seeds: Annotated[int, typer.Option(help="Banyaknya / how many", min=1, max=1000)] = 40,
    first_seed: Annotated[int, typer.Option(min=0)] = 1001,
    days: Days = 15,
    deadline_s: Deadline = None,
    street_posts: Street = 0,
    travel_cv: TravelCv = 0.0,
    surge: Annotated[float, typer.Option(help="Kali jumlah panggilan / times the calls", min=0.1, max=10)] = 1.0,
    posts_lost: Annotated[int, typer.Option(help="Pos tersibuk yang tutup / busiest posts closed", min=0, max=10)] = 0,
    workers: Annotated[
        int, typer.Option(help="Proses lokal; 0 = di sini / local processes; 0 = in this one", min=0, max=256)
    ] = 2,
    scheduler: Annotated[str | None, typer.Option(help="Alamat kluster Dask / Dask cluster address")] = None,
    plot: Annotated[Path | None, typer.Option(help="Gambar .png atau .svg / figure")] = None,
    json: JsonOut = None,
) -> None:
    """Bandingkan kebijakan berpasangan, dengan selang 95 %. / Compare policies, paired, with 95 % intervals."""
    from rich.progress import Progress

    from simulators import evaluate as room

    names = [name.strip() for name in policies.split(",") if name.strip()]
    for name in names:
        _known(name)
    scenario = room.Scenario(days, deadline_s, street_posts, travel_cv, surge, posts_lost)
    chosen = list(range(first_seed, first_seed + seeds))
    try:
        with Progress() as bar:
            task = bar.add_task("siaga evaluate", total=len(chosen) * len(names))
            runs = room.evaluate(
                city_dir, names, chosen, scenario, workers, scheduler, lambda done, _: bar.update(task, completed=done)
            )
        bounds = room.one_bound(str(city_dir.resolve()), chosen[0], scenario)
    except Rejected as refused:
        _fail(refused)
    found = room.compare(runs)
    _table(found, bounds, len(chosen))
    if plot is not None:
        title = f"{city_dir.name}: {len(chosen)} seeds x {days} days, {street_posts} street posts"
        room.plot(found, bounds, title, plot)
    if json is not None:
        json.write_bytes(msgspec.json.encode({"scenario": scenario, "bound": bounds, "compare": found, "runs": runs}))


def bound(city_dir: CityDir, calls: CallFile = None, deadline_s: Deadline = None, seed: Seed = 1, street_posts: Street = 0,
          days: Days = 15, json: JsonOut = None) -> None:  # fmt: skip
    """Batas atas yang tahu masa depan. / What even a seer could not beat."""
    from simulators.bound import bound as solve
    from simulators.cityfile import read_calls, read_city
    from simulators.demand import draw_calls
    from simulators.simulate import prepare

    try:
        city = read_city(city_dir)
        setting = prepare(city, deadline_s, street_posts)
        listed = read_calls(calls, city) if calls is not None else draw_calls(city, seed, days)
    except Rejected as refused:
        _fail(refused)
    limit_s = deadline_s if deadline_s is not None else setting.terms.target_s[0]
    found = solve(city.net, setting.region, listed, limit_s)
    _print({"city": city.name, "deadline_s": limit_s, **msgspec.to_builtins(found), **found.shares()}, json)


def _known(policy: str) -> None:
    if policy not in NAMES:
        raise typer.BadParameter(f"{policy!r}: {' | '.join(NAMES)}", param_hint="--policy")


def _fail(refused: Rejected) -> NoReturn:
    typer.echo(f"{refused} {refused.detail}", err=True)
    raise typer.Exit(2)


def _print(result: dict[str, Any], file: Path | None) -> None:
    text = msgspec.json.format(msgspec.json.encode(result), indent=2)
    if file is not None:
        file.write_bytes(text + b"\n")
    typer.echo(text.decode())


def _table(found: list[Any], bounds: dict[str, float], seeds: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from simulators.evaluate import METRICS

    table = Table(title=f"{seeds} seeds; selisih terhadap / difference to {found[0].policy}, ± 95 %")
    table.add_column("")
    for comparison in found:
        table.add_column(comparison.policy, justify="right")
    for key, label, _ in METRICS:
        cells = []
        for i, c in enumerate(found):
            if math.isnan(c.mean[key]):  # the city has no such priority
                cells.append("–")
                continue
            cell = f"{c.mean[key]:.1f}"
            if i:
                cell += f"\n{c.gain[key]:+.1f} ± {c.half_width[key]:.1f}"
            cells.append(cell)
        table.add_row(label, *cells)
    for name, share in bounds.items():
        table.add_row(name.replace("_", " "), f"{100 * share:.1f}", *[""] * (len(found) - 1))
    Console(width=160).print(table)
