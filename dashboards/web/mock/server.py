"""Development server of the front end: the wire of `docs/api.md` over a pretend city. Never part of the product.

    .venv/bin/python dashboards/web/mock/server.py [--port 8199] [--units 90] [--incidents 14] [--calm]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import sys
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent), str(HERE.parents[3])]

from city import DATA, City, iso, metres, now  # noqa: E402

from dashboards.pages import add_pages  # noqa: E402

ACCOUNT = {"username": "sinta", "name": "Sinta Ayu", "role": "dispatcher"}
CITY = web.AppKey("city", City)
SOCKETS = web.AppKey("sockets", dict)


def problem(code: str, status: int = 409, field: str | None = None) -> web.Response:
    titles = {"changed_meanwhile": "Orang lain lebih dulu mengubah kejadian ini", "unit_not_free": "Unit sedang tidak bebas", "bad_credentials": "Nama atau sandi salah"}
    return web.json_response({"type": f"/problems/{code}", "code": code, "title": titles.get(code, code), "status": status, "field": field, "detail": {}}, status=status, content_type="application/problem+json")


async def session(request: web.Request) -> web.Response:
    if request.method == "POST":
        body = await request.json()
        if body["password"] == "salah":  # noqa: S105
            return problem("bad_credentials", 401)
        response = web.json_response({"account": {**ACCOUNT, "username": body["username"], "name": body["username"].title()}, "csrf_token": "t"})
        response.set_cookie("siaga", body["username"], httponly=True, samesite="Strict")
        return response
    if request.method == "DELETE":
        response = web.Response(status=204)
        response.del_cookie("siaga")
        return response
    user = request.cookies.get("siaga")
    if not user:
        return problem("not_signed_in", 401)
    return web.json_response({"account": {**ACCOUNT, "username": user, "name": user.title()}, "csrf_token": "t"})


def snapshot(city: City) -> dict[str, Any]:
    return {
        "type": "snapshot", "seq": city.seq, "at": iso(now()), "reports": list(city.reports.values()), "incidents": list(city.incidents.values()),
        "units": list(city.units.values()), "assignments": list(city.assignments.values()), "positions": list(city.positions.values()),
    }


async def stream(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(heartbeat=20)
    await ws.prepare(request)
    city = request.app[CITY]
    await ws.send_json(snapshot(city))
    await ws.send_json({"type": "status", "degraded": False, "lag_s": 0.0})
    who = request.app[SOCKETS]
    who[ws] = {"name": request.cookies.get("siaga", "sinta").title(), "incident_id": None, "typing": False}
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            who[ws].update({k: v for k, v in json.loads(message.data).items() if k != "type"})
            for other in list(who):
                await other.send_json({"type": "presence", "who": list(who.values())})
    who.pop(ws, None)
    return ws


async def run(app: web.Application) -> Any:
    async def loop() -> None:
        n = 0
        while True:
            await asyncio.sleep(1)
            city = app[CITY]
            city.tick()
            await flush(app)
            for ws in list(app[SOCKETS]):
                if not ws.closed:
                    await ws.send_json({"type": "positions", "at": iso(now()), "positions": list(city.positions.values())})
                    if n % 4 == 0:
                        await ws.send_json({"type": "status", "degraded": False, "lag_s": 0.0})
            n += 1

    task = asyncio.create_task(loop())
    yield
    task.cancel()


async def flush(app: web.Application) -> None:
    city = app[CITY]
    if not city.fresh:
        return
    message = {"type": "changes", "seq": city.seq, "at": iso(now()), "entries": city.fresh}
    for table, keys in city.touched.items():
        message[table] = [getattr(city, table)[k] for k in keys]
        keys.clear()
    city.fresh = []
    for ws in list(app[SOCKETS]):
        if not ws.closed:
            await ws.send_json(message)


async def command(request: web.Request) -> web.Response:
    city = request.app[CITY]
    actor = {"role": "dispatcher", "name": request.cookies.get("siaga", "sinta")}
    if request.path.startswith("/api/v1/unit/"):
        actor = {"role": "crew", "name": request.headers.get("Authorization", "Bearer A01").split()[-1]}
    try:
        answer = city.command(request.match_info["do"], await request.json(), actor)
    except (ValueError, KeyError) as error:
        return problem(str(error.args[0]))
    await flush(request.app)
    return web.json_response(answer)


def job(city: City, uid: str) -> dict[str, Any] | None:
    aid = city.units[uid]["assignment_id"]
    if aid is None:
        return None
    a = city.assignments[aid]
    i = city.incidents[a["incident_id"]]
    hospital = city.region["hospitals"].get(a["hospital_id"] or "")
    return {"assignment": a, "incident": i, "description": city.reports[i["report_ids"][0]]["description"], "hospital": hospital}


async def feed(request: web.Request) -> web.WebSocketResponse:
    tokens = [p.split(".", 2)[-1] for p in request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",") if p.startswith("siaga.token.")]
    uid = tokens[0] if tokens and tokens[0] in request.app[CITY].units else "A01"
    ws = web.WebSocketResponse(protocols=[f"siaga.token.{t}" for t in tokens], heartbeat=20)
    await ws.prepare(request)
    city = request.app[CITY]
    await ws.send_json({"type": "hello", "seq": city.seq, "unit": city.units[uid], "job": job(city, uid)})
    last = ""
    while not ws.closed:
        state = {"unit": city.units[uid], "job": job(city, uid)}
        if json.dumps(state) != last:
            last = json.dumps(state)
            await ws.send_json({"type": "job", "seq": city.seq, **state, "events": []})
        try:
            if (await ws.receive(timeout=0.5)).type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                break
        except TimeoutError:
            continue
    return ws


async def incident(request: web.Request) -> web.Response:
    city = request.app[CITY]
    row = city.incidents[request.match_info["id"]]
    keys = {row["incident_id"], *row["report_ids"], *row["assignment_ids"]}
    lines = [e for e in city.log if keys & {v for v in e["event"].values() if isinstance(v, str)}]
    return web.json_response({"incident": row, "reports": [city.reports[r] for r in row["report_ids"]], "assignments": [city.assignments[a] for a in row["assignment_ids"]], "entries": lines})


async def search(request: web.Request) -> web.Response:
    words = request.query.get("q", "").lower().split()
    city = request.app[CITY]
    hits = [g for g in city.gazetteer if all(w in (g["name"] + " " + g["kelurahan"]).lower() for w in words)][:8]
    return web.json_response({"places": [{**g, "score": 0.9} for g in hits]})


async def reverse(request: web.Request) -> web.Response:
    city = request.app[CITY]
    here = {"lon": float(request.query["lon"]), "lat": float(request.query["lat"])}
    best = min(city.streets, key=lambda s: metres(s, here))
    return web.json_response({"address": f"{best['name']}, {best['kelurahan']}", "distance_m": metres(best, here), **here})


async def classify(request: web.Request) -> web.Response:
    text = request.query.get("text", "").lower()
    found = []
    for kind in request.app[CITY].region["kinds"].values():
        words = [w for w in kind["keywords"] if w in text]
        if words:
            found.append({"kind": kind["code"], "priority": kind["priority"], "score": min(0.95, 0.5 + 0.2 * len(words)), "words": words})
    return web.json_response({"suggestions": found})


def style(request: web.Request) -> web.Response:
    night = request.query.get("theme", "night") == "night"
    ground, water, minor, mid, major = ("#0e1520", "#0a1826", "#1b2738", "#2a3a52", "#3d5375") if night else ("#f3f5f8", "#cfe0ee", "#ffffff", "#ffffff", "#f7e3b3")
    layers = [{"id": "ground", "type": "background", "paint": {"background-color": ground}}, {"id": "city", "type": "fill", "source": "city", "paint": {"fill-color": ground, "fill-outline-color": mid}}]
    layers += [{"id": f"road-{n}", "type": "line", "source": "roads", "filter": ["==", ["get", "w"], n], "minzoom": z, "paint": {"line-color": c, "line-width": ["interpolate", ["linear"], ["zoom"], 10, w / 4, 15, w * 1.6]}} for n, c, w, z in ((0, minor, 1.2, 12.5), (1, mid, 2.2, 10), (2, major, 3.6, 9))]
    return web.json_response({"version": 8, "sources": {"roads": {"type": "geojson", "data": "/mock/roads.json"}, "city": {"type": "geojson", "data": "/mock/city.json"}}, "layers": layers, "metadata": {"water": water}})


def roads() -> bytes:
    weight = {"motorway": 2, "trunk": 2, "primary": 2, "secondary": 1, "tertiary": 1}
    shapes = json.loads(gzip.decompress((DATA / "roads_osm.geojson.gz").read_bytes()))["features"]
    features = [{"type": "Feature", "properties": {"w": weight.get(f["properties"]["highway"].removesuffix("_link"), 0)}, "geometry": f["geometry"]} for f in shapes]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


async def summary(request: web.Request) -> web.Response:
    return web.json_response({"mock": True})


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=8199)
    options.add_argument("--units", type=int, default=90)
    options.add_argument("--incidents", type=int, default=14)
    options.add_argument("--calm", action="store_true", help="nothing new happens by itself")
    args = options.parse_args()
    app = web.Application()
    app[CITY] = City(7, args.units, args.incidents, args.calm)
    app[SOCKETS] = {}
    app.cleanup_ctx.append(run)
    road_bytes, city_bytes = gzip.compress(roads(), 4), gzip.compress((DATA / "kecamatan.geojson").read_bytes())
    packed = {"Content-Encoding": "gzip"}

    async def region(_: web.Request) -> web.Response:
        return web.json_response(app[CITY].region)

    async def caller(request: web.Request) -> web.Response:
        return web.json_response(app[CITY].callers[request.match_info["id"]])

    async def units(_: web.Request) -> web.Response:
        return web.json_response({"units": list(app[CITY].units.values())})

    async def blob(request: web.Request) -> web.Response:
        body = road_bytes if request.path.endswith("roads.json") else city_bytes
        return web.Response(body=body, content_type="application/json", headers=packed)

    async def styled(request: web.Request) -> web.Response:
        return style(request)

    async def fixes(request: web.Request) -> web.Response:
        return web.json_response({"accepted": len((await request.json())["fixes"]), "flagged": []})

    app.add_routes([
        web.route("*", "/api/v1/session", session), web.get("/api/v1/console/stream", stream), web.post("/api/v1/commands/{do}", command),
        web.get("/api/v1/unit/feed", feed), web.post("/api/v1/unit/fixes", fixes), web.post("/api/v1/unit/{do}", command),
        web.get("/api/v1/incidents/{id}", incident), web.get("/api/v1/units", units), web.get("/api/v1/region", region), web.get("/api/v1/reports/{id}/caller", caller),
        web.get("/api/v1/places/search", search), web.get("/api/v1/places/reverse", reverse), web.get("/api/v1/classify", classify),
        web.get("/api/v1/map/style.json", styled), web.get("/api/v1/sla/summary", summary), web.get("/mock/{name}", blob),
    ])  # fmt: skip
    add_pages(app)
    web.run_app(app, port=args.port, print=None)


if __name__ == "__main__":
    main()
