"""Development server of the front end: the wire of `docs/api.md` over a pretend city. Never part of the product.

    .venv/bin/python dashboards/web/mock/server.py [--port 8199] [--units 90] [--incidents 14] [--calm]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import sys
from datetime import datetime, timedelta
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
    await ws.send_json({"type": "status", "degraded": False, "at": iso(now())})
    who = request.app[SOCKETS]
    who[ws] = {"name": request.cookies.get("siaga", "sinta"), "incident_id": None, "typing": False}
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
                        await ws.send_json({"type": "status", "degraded": False, "at": iso(now())})
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
    brief = {k: i[k] for k in ("incident_id", "kind", "priority", "place", "first_ring_at", "state", "zone", "triage")}
    ring = datetime.fromisoformat(i["first_ring_at"])
    words = [city.reports[r]["description"] for r in i["report_ids"] if city.reports[r]["description"]]
    brief |= {"kind_name": city.region["kinds"][i["kind"]]["name_id"], "deadline": iso(ring + timedelta(seconds=420)), "descriptions": words}
    brief["units"] = [city.assignments[x]["unit_id"] for x in i["assignment_ids"] if city.assignments[x]["ended_at"] is None]
    return {"assignment": a, "incident": brief}


async def feed(request: web.Request) -> web.WebSocketResponse:
    tokens = [p.split(".", 2)[-1] for p in request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",") if p.startswith("siaga.token.")]
    uid = tokens[0] if tokens and tokens[0] in request.app[CITY].units else "A01"
    request.app[CITY].phones.add(uid)
    ws = web.WebSocketResponse(protocols=[f"siaga.token.{t}" for t in tokens], heartbeat=20)
    await ws.prepare(request)
    city = request.app[CITY]
    await ws.send_json({"type": "hello", "seq": city.seq, "at": iso(now()), "unit": city.units[uid], "job": job(city, uid)})
    last = ""
    while not ws.closed:
        state = {"unit": city.units[uid], "job": job(city, uid)}
        if json.dumps(state) != last:
            last = json.dumps(state)
            await ws.send_json({"type": "job", "seq": city.seq, "at": iso(now()), **state})
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
    return web.json_response({"incident": row, "reports": [city.reports[r] for r in row["report_ids"]], "assignments": [city.assignments[a] for a in row["assignment_ids"]], "timeline": lines})


async def search(request: web.Request) -> web.Response:
    words = request.query.get("q", "").lower().split()
    city = request.app[CITY]
    hits = [g for g in city.gazetteer if all(w in (g["name"] + " " + g["kelurahan"]).lower() for w in words)][:8]
    return web.json_response([{"name": f"{g['name']}, {g['kelurahan']}", "kind": g["kind"], "lon": g["lon"], "lat": g["lat"], "confidence": 0.9, "why": g["kecamatan"]} for g in hits])


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
            found.append({"kind": kind["code"], "name_id": kind["name_id"], "name_en": kind["name_en"], "priority": kind["priority"], "score": min(0.95, 0.5 + 0.2 * len(words)), "heard": words, "urgent": []})
    return web.json_response(found)


async def triage(request: web.Request) -> web.Response:
    yes_no = [{"code": "ya", "name_id": "Ya", "name_en": "Yes", "advice_id": "", "advice_en": ""}, {"code": "tidak", "name_id": "Tidak", "name_en": "No", "advice_id": "Miringkan badannya dan jaga jalan napasnya.", "advice_en": "Turn them on their side and keep the airway open."}]
    medical = request.app[CITY].region["kinds"][request.match_info["kind"]]["medical"]
    questions = [{"code": "sadar", "text_id": "Apakah korban sadar?", "text_en": "Is the casualty awake?", "answers": yes_no}, {"code": "napas", "text_id": "Apakah bernapas normal?", "text_en": "Breathing normally?", "answers": yes_no}]
    return web.json_response({"kind": request.match_info["kind"], "set": {"questions": questions} if medical else None})


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
        facts = dict(app[CITY].region)
        for name in ("kinds", "unit_types", "posts", "hospitals", "zones", "agencies"):
            facts[name] = list(facts[name].values())
        names = {"ambulance": "Ambulans", "fire": "Pemadam", "rescue": "Rescue", "police": "Polisi", "first_aid": "Pertolongan pertama"}
        facts["capabilities"] = [{"code": c, "name_id": n, "name_en": c.replace("_", " ")} for c, n in names.items()]
        facts["router"] = {"name": "straight_line", "approximate": True}
        return web.json_response(facts)

    async def caller(request: web.Request) -> web.Response:
        return web.json_response(app[CITY].callers[request.match_info["id"]])

    async def units(_: web.Request) -> web.Response:
        return web.json_response({"units": list(app[CITY].units.values())})

    async def blob(request: web.Request) -> web.Response:
        body = road_bytes if request.path.endswith("roads.json") else city_bytes
        return web.Response(body=body, content_type="application/json", headers=packed)

    async def styled(request: web.Request) -> web.Response:
        return style(request)

    async def send(request: web.Request) -> web.Response:
        """Give unit `unit` a fresh job about 1.2 km away, for pictures and tests of the crew app."""
        city, uid = app[CITY], request.query["unit"]
        city.units[uid].update(state="available", assignment_id=None)
        city.phones.add(uid)
        near = min(city.streets, key=lambda g: abs(metres(g, city.positions[uid]) - 1200))
        place = {"lon": near["lon"], "lat": near["lat"], "accuracy_m": 18.0, "source": "aml", "address": f"{near['name']}, {near['kelurahan']}"}
        rid = city.ring()
        city.reports[rid]["description"] = "Pengendara motor ditabrak mobil di depan minimarket, perempuan sekitar 30 tahun, kaki berdarah, masih sadar."
        iid = city.open_incident(rid, "laka", place, now() - timedelta(seconds=48), quiet=True)
        city.assign(iid, uid, "ambulance")
        await flush(app)
        return web.json_response({"incident_id": iid})

    async def route(request: web.Request) -> web.Response:
        a, b = ([float(request.query[f"{p}_{c}"]) for c in ("lon", "lat")] for p in ("from", "to"))
        length = metres({"lon": a[0], "lat": a[1]}, {"lon": b[0], "lat": b[1]})
        return web.json_response({"eta_s": length / 9, "length_m": length, "basis": "line", "approximate": True, "coordinates": [a, [a[0], b[1]], b], "names": [], "steps": []})

    async def fixes(request: web.Request) -> web.Response:
        return web.json_response({"accepted": len((await request.json())["fixes"]), "flagged": []})

    app.add_routes([
        web.route("*", "/api/v1/session", session), web.get("/api/v1/console/stream", stream), web.post("/api/v1/commands/{do}", command),
        web.get("/api/v1/unit/feed", feed), web.post("/api/v1/unit/fixes", fixes), web.get("/api/v1/unit/route", route), web.post("/api/v1/unit/{do}", command),
        web.get("/api/v1/incidents/{id}", incident), web.get("/api/v1/units", units), web.get("/api/v1/region", region), web.get("/api/v1/reports/{id}/caller", caller),
        web.get("/api/v1/places/search", search), web.get("/api/v1/places/reverse", reverse), web.get("/api/v1/classify", classify), web.get("/api/v1/triage/{kind}", triage),
        web.get("/api/v1/map/style.json", styled), web.get("/api/v1/sla/summary", summary), web.post("/mock/send", send), web.get("/mock/{name}", blob),
    ])  # fmt: skip
    add_pages(app)
    web.run_app(app, port=args.port, print=None)


if __name__ == "__main__":
    main()
