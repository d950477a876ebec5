"""A region pack small enough to read at a glance, as text; tests break it in one place at a time."""

from __future__ import annotations

from pathlib import Path

FILES: dict[str, str] = {
    "region.toml": """
code = "contoh"
name = "Kabupaten Contoh"
utc_offset_h = 8.0
bbox = [115.0, -8.6, 115.4, -8.3]
command_centre = [115.3, -8.5]

[speed_kmh]
lights = 30.0
motorbike = 35.0

[limits]
target_s = 600
""",
    "capabilities.csv": """code,name_id,name_en
ambulance,ambulans,ambulance
motorbike,motor,motorbike
engine,mobil pompa,fire engine
""",
    "agencies.csv": "code,name,phone\ndinkes,Dinas Kesehatan,\ndpkp,Pemadam,\n",
    "kinds.csv": """code,name_id,name_en,priority,agency,medical,transport_share,related
medis,Darurat medis,Medical,1,dinkes,yes,0.6,laka
laka,Kecelakaan,Crash,1,dinkes,yes,0.5,
kebakaran,Kebakaran,Fire,1,dpkp,no,0,
""",
    "unit_types.csv": """code,letter,name_id,name_en,capabilities,mode,turnout_day_s,turnout_night_s,transport
amb,A,Ambulans,Ambulance,ambulance,lights,60,90,yes
mot,M,Motor,Motorbike,motorbike,motorbike,40,60,no
eng,P,Pemadam,Engine,engine,lights,80,90,no
""",
    "posts.csv": """code,name,kind,lon,lat,capacity
PUSAT,Pos Pusat,posko,115.32,-8.54,4
TIMUR,Pos Timur,street,115.35,-8.52,2
""",
    "units.csv": """unit_id,unit_type,agency,home_post
A01,amb,dinkes,PUSAT
A02,amb,dinkes,TIMUR
A03,amb,dinkes,TIMUR
M01,mot,dinkes,PUSAT
P01,eng,dpkp,PUSAT
""",
    "kecamatan.csv": """code,name,wing,lon,lat,area_km2,population
51.04.01,Sukawati,Barat,115.28,-8.58,55.0,120000
51.04.02,Blahbatuh,Timur,115.31,-8.56,39.7,70000
""",
    "hospitals.csv": """code,name,lon,lat,emergency,assumed,capabilities
RS-1,RSUD Contoh,115.33,-8.54,yes,no,general;trauma
""",
    "plans.toml": """
[[plan]]
code = "laka_malam"
kinds = ["laka"]
priorities = [1]
hours = [22, 5]
send = ["ambulance"]

[[plan]]
code = "medis"
kinds = ["medis", "laka"]
send = ["motorbike|ambulance", "ambulance"]
support = ["engine"]
alarms = [["ambulance"]]

[[plan]]
code = "kebakaran"
kinds = ["kebakaran"]
send = ["engine"]
mode = "pre_alert"
""",
    "triage.toml": """
version = "1"

[[set]]
code = "medis"
kinds = ["medis"]
p1_from = 10
p2_from = 4

[[set.questions]]
code = "sadar"
id = "Sadar?"
en = "Awake?"
answers = [{ code = "ya", id = "Sadar", en = "Awake" }, { code = "tidak", id = "Tidak sadar", en = "Not awake", score = 12 }]

[[set.questions]]
code = "napas"
id = "Napas?"
en = "Breathing?"
when = { question = "sadar", answers = ["tidak"] }
answers = [{ code = "biasa", id = "Biasa", en = "Normal" }, { code = "tidak", id = "Tidak", en = "No", score = 20 }]
""",
    "words.toml": """
negations = ["tidak"]
urgent = ["tidak sadar"]

[kinds.laka]
strong = ["tabrakan"]
weak = ["motor"]

[kinds.medis]
strong = ["pingsan"]
yields_to = ["laka"]
""",
    "demand.toml": """
year = 2025
source = "contoh"

[wing_share]
Barat = 0.4
Timur = 0.6

[kinds.medis]
yearly = 100
""",
}


def write(folder: Path, **changed: str | bytes | None) -> Path:
    """Write the pack; keyword `units_csv="..."` replaces units.csv, None leaves the file out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        replaced = changed.pop(name.replace(".", "_"), content)
        if isinstance(replaced, bytes):
            (folder / name).write_bytes(replaced)
        elif replaced is not None:
            (folder / name).write_text(replaced, encoding="utf-8")
    assert not changed, f"no such file: {sorted(changed)}"
    return folder
