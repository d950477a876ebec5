"""One worked request, and where it helps its answer, for every route a crew's phone uses: what OpenAPI shows beside the schema.

Invented: unit A05, its second job of 2 March 2026. A test decodes each as the route would.
"""

from __future__ import annotations

from typing import Any

JOB = "260302-0147/1"
AT = "2026-03-02T01:04:30.250Z"
PLACE = {"lon": 112.7401, "lat": -7.287, "accuracy_m": 12.0, "source": "device", "address": "Jl. Percontohan 12"}
HOSPITAL = {
    "hospital_id": "rs-contoh",
    "name": "RS Percontohan",
    "lon": 112.758,
    "lat": -7.268,
    "emergency": True,
    "eta_s": 412.0,
    "units_there": 2,
    "units_coming": 1,
    "waited_s": 1980.0,
}
DONE = {"seq": 812, "events": [], "report_id": None, "incident_id": None, "assignment_ids": []}
UNIT = {
    "unit_id": "A05",
    "unit_type": "ambulance",
    "agency": "dinkes",
    "state": "committed",
    "capabilities": ["ambulance"],
    "home_post": "posko-contoh",
    "post": "posko-contoh",
    "assignment_id": JOB,
    "crew": ["Bayu P.", "Sari W."],
    "since": AT,
}
FEED = {
    "type": "job",
    "seq": 812,
    "at": AT,
    "unit": UNIT,
    "job": {
        "assignment": {
            "assignment_id": JOB,
            "incident_id": "260302-0147",
            "unit_id": "A05",
            "capability": "ambulance",
            "state": "alerted",
            "assigned_at": AT,
            "assigned_by": "engine",
            "eta_s": 214.0,
            "ack_due_at": "2026-03-02T01:05:00.250Z",
        },
        "incident": {
            "incident_id": "260302-0147",
            "kind": "medis",
            "kind_name": "Medis",
            "kind_name_en": "Medical",
            "medical": True,
            "priority": 1,
            "place": PLACE,
            "first_ring_at": "2026-03-02T01:03:58Z",
            "deadline": "2026-03-02T01:10:58Z",
            "state": "dispatched",
            "zone": "Tegalsari",
            "descriptions": ["Bapak pingsan, tidak sadar"],
            "triage": {"sadar": "tidak"},
            "facts": [
                {
                    "question_id": "Sadar?",
                    "question_en": "Conscious?",
                    "answer_id": "Tidak",
                    "answer_en": "No",
                }
            ],
            "notes": [],
            "patients": None,
            "units": ["A05"],
            "premises": [
                {
                    "name": "Gudang Percontohan",
                    "note_id": "Pagar dikunci, minta kunci ke satpam",
                    "note_en": "Gate locked, ask the guard for the key",
                }
            ],
        },
        "hospital": None,
    },
    "ring": True,
    "roads": "3/1",
    "waiting": None,
}


def _of_job(**more: Any) -> dict[str, Any]:
    return {"assignment_id": JOB, **more, "device_at": AT}


BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/unit/enrol"): {"code": "A05~k3Jd92aQ.69a4f1b0.dGhpcyBpcyBub3Qgb25l"},
    ("POST", "/api/v1/unit/start_duty"): {
        "unit_id": "A05",
        "crew": ["Bayu P.", "Sari W."],
        "place": PLACE,
        "faults": ["Rotator mati"],
        "device_at": AT,
    },
    ("POST", "/api/v1/unit/end_duty"): {"unit_id": "A05", "device_at": AT},
    ("POST", "/api/v1/unit/receipt_job"): _of_job(step="delivered"),
    ("POST", "/api/v1/unit/acknowledge_job"): _of_job(),
    ("POST", "/api/v1/unit/decline_job"): _of_job(reason="Kendaraan bermasalah"),
    ("POST", "/api/v1/unit/report_en_route"): _of_job(),
    ("POST", "/api/v1/unit/report_at_scene"): _of_job(by="button"),
    ("POST", "/api/v1/unit/report_at_patient"): _of_job(),
    ("POST", "/api/v1/unit/count_patients"): _of_job(patients=2),
    ("POST", "/api/v1/unit/report_safe"): _of_job(),
    ("POST", "/api/v1/unit/report_transporting"): _of_job(hospital_id="rs-contoh", notice="Sesak, sadar, oksigen 8 l"),
    ("POST", "/api/v1/unit/report_at_hospital"): _of_job(),
    ("POST", "/api/v1/unit/report_clear"): _of_job(),
    ("POST", "/api/v1/unit/request_backup"): _of_job(capability="police", reason="Massa menghalangi"),
    ("POST", "/api/v1/unit/note_incident"): {
        "incident_id": "260302-0147",
        "text": "Masuk lewat gang samping masjid",
        "device_at": AT,
    },
    ("POST", "/api/v1/unit/take_out_of_service"): {"unit_id": "A05", "reason": "Isi bahan bakar", "device_at": AT},
    ("POST", "/api/v1/unit/return_to_service"): {"unit_id": "A05", "device_at": AT},
    ("POST", "/api/v1/unit/fixes"): {
        "fixes": [
            {
                "lon": 112.7401,
                "lat": -7.287,
                "fixed_at": AT,
                "accuracy_m": 8.0,
                "speed_mps": 11.2,
                "heading_deg": 74.0,
            }
        ]
    },
    ("PUT", "/api/v1/unit/push"): {
        "endpoint": "https://updates.push.services.mozilla.com/wpush/v2/contoh",
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}
ANSWERS: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/unit/enrol"): {"unit_id": "A05", "token": "contoh-kunci-perangkat"},
    ("GET", "/api/v1/unit/feed/poll"): FEED,
    ("GET", "/api/v1/unit/hospitals"): [HOSPITAL],
    ("POST", "/api/v1/unit/fixes"): {"accepted": 0, "flagged": [{"index": 0, "why": "future"}]},
    ("POST", "/api/v1/unit/photos"): {
        "photo_id": "9f2c4b7a1d3e5f608172",
        "width_px": 1600,
        "height_px": 1200,
        "size_bytes": 284113,
    },
    ("GET", "/api/v1/unit/route"): {
        "eta_s": 214.0,
        "length_m": 2140,
        "basis": "road",
        "approximate": False,
        "coordinates": [[112.7401, -7.287], [112.7462, -7.2791]],
        "names": ["Jl. Percontohan"],
        "steps": [
            {
                "manoeuvre": "right",
                "name": "Jl. Percontohan",
                "length_m": 640.0,
                "eta_s": 61.0,
                "text_id": "Belok kanan ke Jl. Percontohan",
                "text_en": "Turn right onto Jl. Percontohan",
            }
        ],
    },
    ("GET", "/api/v1/unit/setup"): {
        "unit_id": "A05",
        "unit_type": "ambulance",
        "district": [112.72, -7.30, 112.76, -7.26],
        "tiles": ["11/1665/1065"],
        "backup": [{"capability": "police", "name_id": "polisi", "name_en": "police"}],
        "posts": {"posko-contoh": "Posko Percontohan"},
        "crew_check_s": 1200.0,
        "target_s": 420.0,
    },
    ("GET", "/api/v1/unit/push"): {"key": "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg…", "subscribed": False},
    ("PUT", "/api/v1/unit/push"): {"key": "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg…", "subscribed": True},
    ("DELETE", "/api/v1/unit/push"): {"key": "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg…", "subscribed": False},
    **{
        ("POST", f"/api/v1/unit/{verb}"): {**DONE, "events": [event]}
        for verb, event in (
            ("start_duty", "duty_started"),
            ("report_en_route", "unit_en_route"),
            ("report_at_scene", "unit_at_scene"),
            ("report_clear", "unit_cleared"),
            ("count_patients", "patients_counted"),
            ("end_duty", "duty_ended"),
            ("receipt_job", "job_receipted"),
            ("acknowledge_job", "job_acknowledged"),
            ("decline_job", "job_declined"),
            ("report_at_patient", "unit_at_patient"),
            ("report_safe", "crew_safe"),
            ("report_transporting", "unit_transporting"),
            ("report_at_hospital", "unit_at_hospital"),
            ("request_backup", "alarm_raised"),
            ("note_incident", "incident_noted"),
            ("take_out_of_service", "unit_out_of_service"),
            ("return_to_service", "unit_returned"),
        )
    },
}
