"""A pretend city for front-end work: enough of `docs/api.md`'s rows and events to draw every screen.

It takes no decision anybody may rely on: units drive in straight lines and arrive when the stopwatch says so.
"""

from __future__ import annotations

import csv
import itertools
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "surabaya"
Row = dict[str, Any]

KINDS = [
    ("laka", "Kecelakaan lalu lintas", "Traffic accident", 1, "dishub", ("kecelakaan", "tabrak", "jatuh dari motor"), "ambulance", 34),
    ("medis", "Darurat medis", "Medical emergency", 1, "dinkes", ("sesak", "pingsan", "stroke", "jantung"), "ambulance", 42),
    ("kebakaran", "Kebakaran", "Fire", 1, "dpkp", ("api", "kebakaran", "asap", "terbakar"), "fire", 10),
    ("tenggelam", "Orang tenggelam", "Drowning", 1, "bpbd", ("tenggelam", "hanyut"), "rescue", 2),
    ("pohon", "Pohon tumbang", "Fallen tree", 2, "bpbd", ("pohon", "tumbang"), "rescue", 5),
    ("genangan", "Banjir / genangan", "Flooding", 3, "dsdabm", ("banjir", "genangan"), "rescue", 4),
    ("hewan", "Evakuasi hewan", "Animal rescue", 3, "dpkp", ("ular", "tawon", "biawak"), "rescue", 5),
    ("kriminal", "Kriminalitas", "Crime", 1, "polri", ("begal", "maling", "rampok"), "police", 4),
]
TYPES = [
    ("ambulans", "A", "Ambulans", "Ambulance", ["ambulance"], True, 34),
    ("motor", "M", "Motor TRC", "Motorbike responder", ["ambulance", "first_aid"], False, 18),
    ("damkar", "P", "Mobil pemadam", "Fire engine", ["fire"], False, 14),
    ("rescue", "R", "Tim rescue", "Rescue team", ["rescue"], False, 12),
    ("polisi", "K", "Patroli polisi", "Police patrol", ["police"], False, 12),
]
NAMES = ["Bayu P.", "Sari W.", "Dimas A.", "Rina K.", "Agus T.", "Wulan S.", "Fajar H.", "Nia L.", "Hendra M.", "Tika R."]


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def now() -> datetime:
    return datetime.now(UTC)


def metres(a: Row, b: Row) -> float:
    dx = (a["lon"] - b["lon"]) * 110_600
    return math.hypot(dx, (a["lat"] - b["lat"]) * 110_900)


class City:
    """State, a one-second tick, and the commands the screens send."""

    def __init__(self, seed: int, units: int, incidents: int, calm: bool = False) -> None:
        self.rng = random.Random(seed)
        self.calm = calm
        self.seq = 0
        self.reports: dict[str, Row] = {}
        self.incidents: dict[str, Row] = {}
        self.units: dict[str, Row] = {}
        self.assignments: dict[str, Row] = {}
        self.callers: dict[str, Row] = {}
        self.positions: dict[str, Row] = {}
        self.target: dict[str, Row] = {}
        self.timer: dict[str, datetime] = {}
        self.log: list[Row] = []
        self.touched: dict[str, set[str]] = {k: set() for k in ("reports", "incidents", "units", "assignments")}
        self.fresh: list[Row] = []
        self.ids = itertools.count(1)
        self.phones: set[str] = set()
        """Units driven by a person with the crew app open."""
        self._load(units)
        for n in range(incidents):
            self.spawn(now() - timedelta(seconds=self.rng.uniform(0, 500)), quiet=n % 9 == 0)
        if not calm:
            for _ in range(2):
                self.ring()
            self.abandon(self.ring())

    # --- world

    def _load(self, units: int) -> None:
        points = list(csv.DictReader((DATA / "emergency_points.csv").open(encoding="utf-8")))
        streets = [r for r in csv.DictReader((DATA / "gazetteer.csv").open(encoding="utf-8"))]
        self.gazetteer = [
            {"name": r["name"], "kind": r["kind"], "lon": float(r["lon"]), "lat": float(r["lat"]), "kelurahan": r["kelurahan"], "kecamatan": r["kecamatan"]}
            for r in streets if r["lon"]
        ]
        self.streets = [g for g in self.gazetteer if g["kind"].startswith("street")]
        zones = list(csv.DictReader((DATA / "kecamatan.csv").open(encoding="utf-8")))
        self.zone_of = {z["kecamatan"]: z["kec_code"] for z in zones}
        want = {"fire_post", "posko_terpadu", "pos_pantau", "pos_respon"}
        self.posts = [
            {"code": f"P{r['id']}", "name": r["name"], "kind": r["kind"], "lon": float(r["lon"]), "lat": float(r["lat"]), "capacity": 3, "street": False}
            for r in points if r["kind"] in want and r["lon"]
        ]
        self.hospitals = [
            {"code": f"H{r['id']}", "name": r["name"], "lon": float(r["lon"]), "lat": float(r["lat"]), "emergency": True, "capabilities": []}
            for r in points if r["kind"] == "hospital" and r["lon"]
        ][:40]
        self.region = {
            "code": "surabaya", "name": "Kota Surabaya", "utc_offset_h": 7.0, "bbox": [112.59, -7.36, 112.85, -7.18],
            "kinds": {k[0]: {"code": k[0], "name_id": k[1], "name_en": k[2], "priority": k[3], "agency": k[4], "keywords": list(k[5]), "medical": k[0] in ("laka", "medis")} for k in KINDS},
            "unit_types": {t[0]: {"code": t[0], "letter": t[1], "name_id": t[2], "name_en": t[3], "capabilities": t[4], "mode": "lights", "transport": t[5]} for t in TYPES},
            "posts": {p["code"]: p for p in self.posts}, "hospitals": {h["code"]: h for h in self.hospitals},
            "zones": {z["kec_code"]: {"code": z["kec_code"], "name": z["kecamatan"], "lon": float(z["lon"]), "lat": float(z["lat"])} for z in zones},
            "agencies": {a: {"code": a, "name": a.upper(), "phone": ""} for a in ("dinkes", "dpkp", "bpbd", "polri", "dishub", "dsdabm")},
            "limits": {"target_s": 420.0, "warn_left_s": 180.0, "ack_timeout_s": 30.0, "fix_stale_s": 120.0, "duplicate_radius_m": 250.0},
        }
        total = sum(t[6] for t in TYPES)
        for t in TYPES:
            for n in range(1, max(2, round(units * t[6] / total)) + 1):
                post = self.rng.choice(self.posts)
                uid = f"{'PMK' if t[0] == 'damkar' else t[1]}{n:02d}"
                self.units[uid] = {
                    "unit_id": uid, "unit_type": t[0], "agency": "dpkp" if t[0] == "damkar" else "dinkes", "state": "available", "capabilities": t[4], "mode": "lights",
                    "home_post": post["code"], "post": post["code"], "moving_up_since": None, "assignment_id": None, "next_assignment_id": None,
                    "crew": self.rng.sample(NAMES, 2), "since": iso(now() - timedelta(seconds=self.rng.uniform(30, 7000))), "position": None,
                    "out_of_service_for": None, "moves_today": 0, "duty_since": iso(now() - timedelta(hours=3)),
                }
                self.positions[uid] = {"unit_id": uid, "lon": post["lon"] + self.rng.gauss(0, 0.0008), "lat": post["lat"] + self.rng.gauss(0, 0.0008), "heading_deg": 0.0, "speed_mps": 0.0, "fixed_at": iso(now()), "accuracy_m": 8.0}
                if self.rng.random() < 0.05:
                    self.units[uid].update(state="out_of_service", out_of_service_for="Servis kendaraan")
                elif self.rng.random() < 0.06:
                    self.units[uid].update(state="off_duty", crew=[])

    def emit(self, kind: str, actor: Row | None = None, **fields: Any) -> None:
        self.seq += 1
        entry = {"seq": self.seq, "at": iso(now()), "actor": actor or {"role": "system", "name": "engine"}, "event": {"kind": kind, **fields}}
        self.log.append(entry)
        self.fresh.append(entry)

    def touch(self, table: str, key: str, **fields: Any) -> Row:
        row: Row = getattr(self, table)[key]
        row.update(fields)
        if table == "incidents":
            row["version"] += 1
        self.touched[table].add(key)
        return row

    def ring(self) -> str:
        rid = f"R{next(self.ids):04d}"
        street = self.rng.choice(self.streets)
        place = {"lon": street["lon"], "lat": street["lat"], "accuracy_m": self.rng.choice([18.0, 46.0, 900.0]), "source": "aml"} if self.rng.random() < 0.7 else None
        self.reports[rid] = {
            "report_id": rid, "channel": "call", "state": "ringing", "rang_at": iso(now()), "received_at": iso(now()), "answered_at": None, "submitted_at": None, "ended_at": None,
            "kind": None, "place": place, "description": "", "call_id": f"call-{rid}", "incident_id": None, "answered_by": None, "dismissed_for": None, "repeat_of": None,
        }
        self.callers[rid] = {"phone": f"+62 800 0000 {self.rng.randint(1000, 9999)}", "name": None}
        self.touched["reports"].add(rid)
        self.emit("call_presented", report_id=rid, call_id=f"call-{rid}", rang_at=iso(now()))
        return rid

    def abandon(self, rid: str) -> None:
        self.touch("reports", rid, state="abandoned", ended_at=iso(now()))
        self.emit("call_abandoned", report_id=rid)

    def spawn(self, rang: datetime, quiet: bool = False) -> None:
        kind = self.rng.choices(KINDS, [k[7] for k in KINDS])[0]
        street = self.rng.choice(self.streets)
        rid = f"R{next(self.ids):04d}"
        self.reports[rid] = {
            "report_id": rid, "channel": self.rng.choice(["call", "call", "web", "app"]), "state": "submitted", "rang_at": iso(rang), "received_at": iso(rang), "answered_at": iso(rang),
            "submitted_at": iso(rang), "ended_at": None, "kind": kind[0], "place": None, "description": self.rng.choice(["Korban sadar, banyak darah.", "Lansia sesak, bibir biru.", "Asap tebal dari lantai dua, ada orang di dalam.", "Motor lawan mobil, satu korban tergeletak."]),
            "call_id": None, "incident_id": None, "answered_by": "sinta", "dismissed_for": None, "repeat_of": None,
        }
        self.callers[rid] = {"phone": f"+62 800 0000 {self.rng.randint(1000, 9999)}", "name": None}
        place = {"lon": street["lon"], "lat": street["lat"], "accuracy_m": self.rng.choice([12.0, 35.0, 240.0]), "source": "operator", "address": f"{street['name']}, {street['kelurahan']}"}
        self.open_incident(rid, kind[0], place, rang, quiet=quiet)

    def open_incident(self, rid: str, kind: str, place: Row, rang: datetime, quiet: bool = False, priority: int | None = None, actor: Row | None = None) -> str:
        number = next(self.ids)
        iid = f"261124-{number:04d}"
        prio = priority or self.region["kinds"][kind]["priority"]
        zone = min(self.region["zones"].values(), key=lambda z: metres(z, place))["code"]
        self.incidents[iid] = {
            "incident_id": iid, "kind": kind, "priority": prio, "highest_priority": prio, "place": place, "state": "waiting", "first_ring_at": iso(rang), "opened_at": iso(now()),
            "plan": f"{kind}-p{prio}", "mode": "confirm" if quiet or kind == "kriminal" else "auto", "alarm_level": 1, "zone": zone, "report_ids": [rid], "assignment_ids": [], "first_assigned_at": None, "first_at_scene_at": None,
            "first_capable_at_scene_at": None, "warned_at": None, "breached_at": None, "retry_at": None, "unfilled": [], "confirmed": not (quiet or kind == "kriminal"), "merged_into": None, "required": [], "like": {}, "chance": None, "predicted_at": None, "confirm_due_at": None,
            "state_before_merge": None, "ended_at": None, "outcome": None, "triage": {}, "version": 0,
        }
        self.touch("reports", rid, state="attached", incident_id=iid, kind=kind, submitted_at=iso(now()))
        need = next(k[6] for k in KINDS if k[0] == kind)
        self.emit("report_submitted", actor, report_id=rid, channel=self.reports[rid]["channel"], incident_kind=kind, place=place, description=self.reports[rid]["description"])
        self.emit("incident_opened", actor, incident_id=iid, report_id=rid, incident_kind=kind, priority=prio, place=place, first_ring_at=iso(rang), plan=f"{kind}-p{prio}", mode=self.incidents[iid]["mode"], required=[need], zone=zone, why="kind")
        self.emit("report_attached", report_id=rid, incident_id=iid)
        near = [i for i in self.incidents.values() if i["incident_id"] != iid and i["state"] in ("waiting", "dispatched", "on_scene") and metres(i["place"], place) < 600]
        if near:
            self.incidents[iid]["like"] = {near[0]["incident_id"]: 0.82}
            self.emit("duplicate_suspected", incident_id=iid, like=near[0]["incident_id"], score=0.82, distance_m=round(metres(near[0]["place"], place)))
        self.incidents[iid]["required"] = [need]
        best = self.recommend(iid, need)
        if best and not quiet and self.incidents[iid]["mode"] == "auto":
            self.assign(iid, best, need)
        elif not best:
            self.touch("incidents", iid, unfilled=[need], retry_at=iso(now() + timedelta(seconds=15)))
            self.emit("plan_short", incident_id=iid, missing=[need], why="no_free_unit", retry_at=iso(now() + timedelta(seconds=15)))
        self.touched["incidents"].add(iid)
        return iid

    def eta(self, uid: str, place: Row) -> float:
        return 55 + metres(self.positions[uid], place) * 1.35 / 9.5

    def recommend(self, iid: str, need: str) -> str | None:
        incident = self.incidents[iid]
        left = 420 - (now() - datetime.fromisoformat(incident["first_ring_at"])).total_seconds()
        able = [u for u in self.units if need in self.units[u]["capabilities"] and self.units[u]["state"] != "off_duty"]
        able.sort(key=lambda u: (self.units[u]["state"] != "available", self.eta(u, incident["place"])))
        able = able[:12]
        etas = [self.eta(u, incident["place"]) for u in able]
        chance = [1 / (1 + math.exp((e - left) / 40)) for e in etas]
        chosen = next((u for u in able if self.units[u]["state"] == "available"), None)
        verdict = ["chosen" if u == chosen else {"available": "slower", "committed": "busy"}.get(self.units[u]["state"], "out_of_service") for u in able]
        candidates = {
            "unit_ids": able, "eta_s": [round(e, 1) for e in etas], "chance": [round(c, 3) for c in chance], "verdict": verdict, "cost": [round(self.rng.uniform(0, 0.02), 4) for _ in able],
            "lon": [self.positions[u]["lon"] for u in able], "lat": [self.positions[u]["lat"] for u in able], "fix_age_s": [round(self.rng.uniform(1, 90)) for _ in able]}
        event = {"capability": need, "chosen": chosen, "policy": "closest", "router": "straight_line", "approximate": True, "candidates": candidates}
        incident["recommended"] = [event]
        self.emit("unit_recommended", incident_id=iid, **event)
        return chosen

    def assign(self, iid: str, uid: str, need: str, actor: Row | None = None, reason: str = "") -> str:
        aid = f"A{next(self.ids):05d}"
        incident = self.incidents[iid]
        eta = self.eta(uid, incident["place"])
        due = iso(now() + timedelta(seconds=30))
        self.assignments[aid] = {
            "assignment_id": aid, "incident_id": iid, "unit_id": uid, "capability": need, "state": "alerted", "assigned_at": iso(now()), "assigned_by": (actor or {"name": "engine"})["name"], "eta_s": round(eta, 1),
            "arrival_sd_s": round(eta * 0.2, 1), "ack_due_at": due, "alerts": 1, "delivered_at": None, "seen_at": None, "acknowledged_at": None, "en_route_at": None, "at_scene_at": None, "geofence_at": None,
            "at_patient_at": None, "transporting_at": None, "at_hospital_at": None, "ended_at": None, "hospital_id": None, "reason": reason, "device_at": {},
        }
        self.touched["assignments"].add(aid)
        self.touch("units", uid, state="committed", assignment_id=aid, since=iso(now()))
        self.touch("incidents", iid, state="dispatched" if incident["state"] == "waiting" else incident["state"], assignment_ids=[*incident["assignment_ids"], aid], first_assigned_at=incident["first_assigned_at"] or iso(now()), confirmed=True, unfilled=[])
        self.emit("unit_assigned", actor, assignment_id=aid, incident_id=iid, unit_id=uid, capability=need, eta_s=round(eta, 1), sd_s=round(eta * 0.2, 1), ack_due_at=due, reason=reason)
        self.timer[aid] = now() + timedelta(seconds=self.rng.uniform(4, 45))
        return aid

    def step(self, aid: str, state: str, actor: Row | None = None, **stamps: Any) -> None:
        """Move an assignment on and keep unit and incident in line with it."""
        a = self.touch("assignments", aid, state=state, **stamps)
        actor = actor or {"role": "crew", "name": a["unit_id"]}
        iid, uid = a["incident_id"], a["unit_id"]
        names = {"acknowledged": "job_acknowledged", "en_route": "unit_en_route", "at_scene": "unit_at_scene", "transporting": "unit_transporting", "at_hospital": "unit_at_hospital", "cleared": "unit_cleared", "declined": "job_declined", "withdrawn": "unit_withdrawn"}
        extra = {"unit_id": uid, "incident_id": iid} if state in ("at_scene", "cleared", "declined", "withdrawn") else {}
        self.emit(names[state], actor, assignment_id=aid, **extra)
        incident = self.incidents[iid]
        self.touch("units", uid, since=iso(now()))
        self.timer[aid] = now() + timedelta(seconds=self.rng.uniform(40, 120))
        if state == "en_route":
            self.target[uid] = incident["place"]
        elif state == "at_scene":
            self.touch("incidents", iid, state="on_scene", first_at_scene_at=incident["first_at_scene_at"] or iso(now()), first_capable_at_scene_at=incident["first_capable_at_scene_at"] or iso(now()))
        elif state in ("cleared", "declined", "withdrawn"):
            self.touch("assignments", aid, ended_at=iso(now()))
            self.touch("units", uid, state="available", assignment_id=None)
            self.target[uid] = next(p for p in self.posts if p["code"] == self.units[uid]["home_post"])
            left = [x for x in incident["assignment_ids"] if self.assignments[x]["ended_at"] is None]
            if not left and incident["state"] == "on_scene":
                self.touch("incidents", iid, state="closed", ended_at=iso(now()), outcome="Selesai ditangani")
                self.emit("incident_closed", actor, incident_id=iid, outcome="Selesai ditangani")
            elif not left and incident["state"] == "dispatched":
                self.touch("incidents", iid, state="waiting")

    def tick(self) -> None:
        t = now()
        for uid, unit in self.units.items():
            pos = self.positions[uid]
            goal = self.target.get(uid)
            if goal is None and unit["state"] == "available" and self.rng.random() < 0.01:
                goal = self.target[uid] = self.rng.choice(self.posts)
            if goal is not None and unit["state"] != "off_duty":
                left = metres(pos, goal)
                move = min(left, 10.5 if unit["state"] == "committed" else 7.0)
                if left < 15:
                    del self.target[uid]
                else:
                    pos["heading_deg"] = math.degrees(math.atan2(goal["lon"] - pos["lon"], goal["lat"] - pos["lat"])) % 360
                    pos["lon"] += (goal["lon"] - pos["lon"]) * move / left
                    pos["lat"] += (goal["lat"] - pos["lat"]) * move / left
                pos["speed_mps"] = move
            if unit["state"] != "off_duty" and hash(uid) % 11:
                pos["fixed_at"] = iso(t)
        for aid, a in list(self.assignments.items()):
            if a["ended_at"] is not None or a["unit_id"] in self.phones:
                continue
            due = self.timer.get(aid, t) <= t
            if a["state"] == "alerted" and due:
                self.step(aid, "acknowledged", acknowledged_at=iso(t))
                self.step(aid, "en_route", en_route_at=iso(t))
            elif a["state"] == "en_route" and a["unit_id"] not in self.target:
                self.step(aid, "at_scene", at_scene_at=iso(t))
            elif a["state"] == "at_scene" and due:
                if self.region["unit_types"][self.units[a["unit_id"]]["unit_type"]]["transport"] and self.rng.random() < 0.6:
                    hospital = min(self.hospitals, key=lambda h: metres(h, self.positions[a["unit_id"]]))
                    self.step(aid, "transporting", transporting_at=iso(t), hospital_id=hospital["code"])
                    self.target[a["unit_id"]] = hospital
                else:
                    self.step(aid, "cleared")
            elif a["state"] == "transporting" and a["unit_id"] not in self.target:
                self.step(aid, "at_hospital", at_hospital_at=iso(t))
            elif a["state"] == "at_hospital" and due:
                self.step(aid, "cleared")
        for iid, i in self.incidents.items():
            if i["state"] not in ("waiting", "dispatched") or i["priority"] != 1:
                continue
            deadline = datetime.fromisoformat(i["first_ring_at"]) + timedelta(seconds=420)
            coming = [self.eta(self.assignments[a]["unit_id"], i["place"]) - 50 for a in i["assignment_ids"] if self.assignments[a]["ended_at"] is None]
            predicted = t + timedelta(seconds=min(coming)) if coming else None
            if i["warned_at"] is None and (predicted is None or predicted > deadline) and deadline - t < timedelta(seconds=180):
                self.touch("incidents", iid, warned_at=iso(t))
                self.emit("response_at_risk", incident_id=iid, deadline=iso(deadline), chance=0.2, predicted_at=iso(predicted), remedy="send_other", remedy_unit=None)
            if i["breached_at"] is None and t > deadline:
                self.touch("incidents", iid, breached_at=iso(t))
                self.emit("response_late", incident_id=iid, deadline=iso(deadline))
        if self.calm:
            return
        ringing = [r for r in self.reports.values() if r["state"] == "ringing"]
        if self.rng.random() < 0.02 and len(ringing) < 3:
            self.ring()
        if self.rng.random() < 0.03 and sum(i["ended_at"] is None for i in self.incidents.values()) < 24:
            self.spawn(t)

    # --- commands

    def command(self, do: str, body: Row, actor: Row) -> Row:
        before = len(self.fresh)
        made: Row = {}
        stamp = iso(now())
        body = {k: v for k, v in body.items() if k != "device_at"}
        if do == "answer_report":
            self.touch("reports", body["report_id"], state="answered", answered_at=stamp, answered_by=actor["name"])
            self.emit("report_answered", actor, report_id=body["report_id"])
        elif do == "submit_report":
            rid = body.get("report_id") or f"R{next(self.ids):04d}"
            self.reports.setdefault(rid, {"report_id": rid, "channel": body["channel"], "state": "submitted", "rang_at": stamp, "received_at": stamp, "answered_at": stamp, "submitted_at": None, "ended_at": None, "kind": None, "place": None, "description": "", "call_id": None, "incident_id": None, "answered_by": actor["name"], "dismissed_for": None, "repeat_of": None})
            self.touch("reports", rid, place=body["place"], description=body.get("description", ""), kind=body["kind"])
            made["report_id"] = rid
            if body.get("incident_id"):
                self.attach(rid, body["incident_id"], actor)
            else:
                made["incident_id"] = self.open_incident(rid, body["kind"], {"source": "operator", "address": "", **body["place"]}, datetime.fromisoformat(self.reports[rid]["rang_at"]), priority=body.get("priority"), actor=actor)
        elif do == "attach_report":
            self.attach(body["report_id"], body["incident_id"], actor)
        elif do == "dismiss_report":
            self.touch("reports", body["report_id"], state="dismissed", dismissed_for=body["reason"], ended_at=stamp)
            self.emit("report_dismissed", actor, **body)
        elif do == "abandon_call":
            self.abandon(body["report_id"])
        elif do == "confirm_plan":
            i = self.touch("incidents", body["incident_id"], confirmed=True)
            self.emit("plan_confirmed", actor, incident_id=i["incident_id"])
            need = next(k[6] for k in KINDS if k[0] == i["kind"])
            best = self.recommend(i["incident_id"], need)
            if best:
                made["assignment_id"] = self.assign(i["incident_id"], best, need, actor)
        elif do == "assign_unit":
            i = self.incidents[body["incident_id"]]
            if body.get("version") not in (None, i["version"]):
                raise ValueError("changed_meanwhile")
            if self.units[body["unit_id"]]["state"] != "available":
                raise ValueError("unit_not_free")
            need = next(k[6] for k in KINDS if k[0] == i["kind"])
            made["assignment_id"] = self.assign(i["incident_id"], body["unit_id"], need, actor, body.get("reason", ""))
        elif do == "withdraw_unit":
            self.step(body["assignment_id"], "withdrawn", actor)
        elif do == "merge_incident":
            i = self.incidents[body["incident_id"]]
            self.touch("incidents", body["incident_id"], state="merged", merged_into=body["into"], state_before_merge=i["state"], ended_at=stamp)
            self.emit("incident_merged", actor, **body, reports=i["report_ids"], assignments=[])
        elif do == "unmerge_incident":
            i = self.incidents[body["incident_id"]]
            self.touch("incidents", body["incident_id"], state=i["state_before_merge"], merged_into=None, ended_at=None)
            self.emit("incident_unmerged", actor, incident_id=body["incident_id"], out_of="", reports=[], assignments=[], first_ring_at=i["first_ring_at"])
        elif do in ("cancel_incident", "close_incident"):
            state = "cancelled" if do == "cancel_incident" else "closed"
            i = self.touch("incidents", body["incident_id"], state=state, ended_at=stamp, outcome=body.get("outcome") or body.get("reason"))
            for a in i["assignment_ids"]:
                if self.assignments[a]["ended_at"] is None:
                    self.step(a, "cleared" if self.assignments[a]["state"] == "at_scene" else "withdrawn", actor)
            self.emit(f"incident_{state}", actor, **body)
        elif do == "reopen_incident":
            self.touch("incidents", body["incident_id"], state="waiting", ended_at=None, outcome=None)
            self.emit("incident_reopened", actor, **body)
        elif do == "note_incident":
            self.emit("incident_noted", actor, **body)
        elif do == "regrade_incident":
            i = self.incidents[body["incident_id"]]
            before_row = (i["kind"], i["priority"])
            self.touch("incidents", body["incident_id"], kind=body.get("kind") or i["kind"], priority=body.get("priority") or i["priority"])
            self.emit("incident_regraded", actor, incident_id=i["incident_id"], incident_kind=i["kind"], priority=i["priority"], kind_before=before_row[0], priority_before=before_row[1], plan=i["plan"], required=[], reason=body["reason"])
        elif do == "relocate_incident":
            i = self.incidents[body["incident_id"]]
            self.emit("incident_relocated", actor, incident_id=i["incident_id"], place=body["place"], place_before=i["place"], zone=i["zone"], reason=body["reason"])
            self.touch("incidents", body["incident_id"], place={"source": "operator", "address": "", **body["place"]})
        elif do == "raise_alarm":
            i = self.touch("incidents", body["incident_id"], alarm_level=self.incidents[body["incident_id"]]["alarm_level"] + 1)
            self.emit("alarm_raised", actor, incident_id=i["incident_id"], level=i["alarm_level"], required=[], reason=body["reason"])
        elif do == "answer_triage":
            i = self.incidents[body["incident_id"]]
            self.touch("incidents", body["incident_id"], triage={**i["triage"], body["question"]: body["answer"]})
            self.emit("triage_answered", actor, **body)
        elif do == "start_duty":
            self.touch("units", body["unit_id"], state="available", crew=body.get("crew", []), duty_since=stamp, since=stamp)
            self.emit("duty_started", actor, **body)
        elif do == "end_duty":
            self.touch("units", body["unit_id"], state="off_duty", crew=[], since=stamp)
            self.emit("duty_ended", actor, **body)
        elif do == "take_out_of_service":
            self.touch("units", body["unit_id"], state="out_of_service", out_of_service_for=body["reason"], since=stamp)
            self.emit("unit_out_of_service", actor, **body)
        elif do == "return_to_service":
            self.touch("units", body["unit_id"], state="available", out_of_service_for=None, since=stamp)
            self.emit("unit_returned", actor, **body)
        elif do == "order_move":
            self.touch("units", body["unit_id"], post=body["post"], moving_up_since=stamp)
            self.target[body["unit_id"]] = self.region["posts"][body["post"]]
            self.emit("move_ordered", actor, **body)
        elif do in CREW_STEPS:
            state, field = CREW_STEPS[do]
            extra = {"hospital_id": body["hospital_id"]} if body.get("hospital_id") else {}
            self.step(body["assignment_id"], state, actor, **({field: stamp} if field else {}), **extra)
        elif do == "report_at_patient":
            self.touch("assignments", body["assignment_id"], at_patient_at=stamp)
        elif do == "receipt_job":
            self.touch("assignments", body["assignment_id"], **{f"{body['step']}_at": stamp})
        else:
            raise ValueError("unknown_command")
        return {"seq": self.seq, "events": [e["event"] for e in self.fresh[before:]], **made}

    def attach(self, rid: str, iid: str, actor: Row) -> None:
        self.touch("reports", rid, state="attached", incident_id=iid)
        self.touch("incidents", iid, report_ids=[*self.incidents[iid]["report_ids"], rid])
        self.emit("report_attached", actor, report_id=rid, incident_id=iid)


CREW_STEPS = {
    "acknowledge_job": ("acknowledged", "acknowledged_at"),
    "decline_job": ("declined", None),
    "report_en_route": ("en_route", "en_route_at"),
    "report_at_scene": ("at_scene", "at_scene_at"),
    "report_transporting": ("transporting", "transporting_at"),
    "report_at_hospital": ("at_hospital", "at_hospital_at"),
    "report_clear": ("cleared", None),
}
