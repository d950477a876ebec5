"""What is said about a late response, in one sentence of Indonesian and one of English. Text only; no arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatch.planning import VERDICTS
from sla.clocks import Leg
from sla.definition import TARGET_S

if TYPE_CHECKING:
    from sla.attribution import Counterfactual

SENTENCES: dict[str, tuple[str, str]] = {
    "answer": (
        "telepon baru diangkat setelah {took:.0f} detik (sasaran {aim:.0f} detik)",
        "the call was answered after {took:.0f} s (aim {aim:.0f} s)",
    ),
    "entry": (
        "laporan baru tercatat {took:.0f} detik setelah diangkat (sasaran {aim:.0f} detik)",
        "the report was entered {took:.0f} s after the answer (aim {aim:.0f} s)",
    ),
    "decision": (
        "unit baru dipilih {took:.0f} detik setelah laporan tercatat (sasaran {aim:.0f} detik)",
        "a unit was chosen {took:.0f} s after entry (aim {aim:.0f} s)",
    ),
    "no_unit": (
        "selama {took:.0f} detik tidak ada unit yang dapat dikirim",
        "for {took:.0f} s there was no unit to send",
    ),
    "reassigned": (
        "{subject} diperintah lebih dulu tetapi tidak jadi datang; {took:.0f} detik hilang",
        "{subject} was asked first and did not come; {took:.0f} s were lost",
    ),
    "alert": (
        "perintah baru sampai di gawai kru setelah {took:.0f} detik (sasaran {aim:.0f} detik)",
        "the order took {took:.0f} s to reach the crew's device (aim {aim:.0f} s)",
    ),
    "turnout": (
        "kru {subject} baru berangkat {took:.0f} detik setelah perintah sampai (sasaran {aim:.0f} detik)",
        "the crew of {subject} rolled {took:.0f} s after the order arrived (aim {aim:.0f} s)",
    ),
    "choice": (
        "{subject} dapat tiba {saved:.0f} detik lebih cepat tetapi tidak dikirim ({verdict_id})",
        "{subject} could have been there {saved:.0f} s sooner but was not sent ({verdict_en})",
    ),
    "unit_free": (
        "{subject} dari {place} sedang bertugas lain; bila siaga, {saved:.0f} detik lebih cepat",
        "{subject} of {place} was on another job; free, it saves {saved:.0f} s",
    ),
    "post": (
        "satu unit lagi di {place} akan {saved:.0f} detik lebih cepat",
        "one more unit at {place} saves {saved:.0f} s",
    ),
    "road": (
        "perjalanan {subject} {saved:.0f} detik lebih lama daripada perkiraan",
        "the drive of {subject} took {saved:.0f} s longer than predicted",
    ),
    "signal": (
        "gawai {subject} mencatat tiba {saved:.0f} detik lebih awal daripada yang diterima server",
        "the device of {subject} stamped the arrival {saved:.0f} s before the server received it",
    ),
}
NAMES: dict[str, tuple[str, str]] = {
    "answer": ("telepon lambat diangkat", "slow answer"),
    "entry": ("laporan lambat tercatat", "slow entry"),
    "decision": ("unit lambat dipilih", "slow decision"),
    "no_unit": ("tidak ada unit bebas", "no unit free"),
    "reassigned": ("unit pertama tidak datang", "first unit did not come"),
    "alert": ("perintah lambat sampai", "slow alert"),
    "turnout": ("kru lambat berangkat", "slow turnout"),
    "choice": ("unit lebih cepat tidak dikirim", "quicker unit not sent"),
    "unit_free": ("unit terdekat sedang bertugas", "nearest unit busy"),
    "post": ("tidak ada unit di pos terdekat", "no unit at the nearest post"),
    "road": ("perjalanan lebih lama", "slower road"),
    "signal": ("kedatangan terlambat diterima", "arrival received late"),
    "together": ("beberapa sebab bersama", "several causes together"),
    "out_of_reach": ("di luar jangkauan", "out of reach"),
    "nobody_sent": ("tidak ada yang dikirim", "nobody sent"),
    "not_capable": ("yang tiba tidak mampu menangani", "arrived, not capable"),
    "button_not_pressed": ("tombol tiba tidak ditekan", "arrival not confirmed"),
    "still_coming": ("masih di jalan", "still on the way"),
    "nobody_came": ("semua unit menolak atau diam", "all declined or silent"),
    "arrival_not_recorded": ("kedatangan tidak tercatat", "arrival not recorded"),
}
"""Short names of every cause, for tables and charts."""


def clock(seconds: float) -> str:
    """425.4 -> 7:05."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def detail(row: Counterfactual) -> tuple[str, str]:
    """One counterfactual in both languages."""
    verdict_id, verdict_en = VERDICTS.get(row.place or "", ("tanpa alasan tercatat", "no reason recorded"))
    values = {
        "took": row.took_s,
        "aim": row.aim_s,
        "saved": row.saved_s,
        "subject": row.subject or "-",
        "place": row.place or "-",
        "verdict_id": verdict_id[:1].lower() + verdict_id[1:],
        "verdict_en": verdict_en[:1].lower() + verdict_en[1:],
    }
    text_id, text_en = SENTENCES[row.code]
    return text_id.format(**values), text_en.format(**values)


def whole_sentences(
    rows: Sequence[Counterfactual],
    decisive: str | None,
    together: Sequence[str],
    response_s: float,
    late_by_s: float,
    why: str,
) -> tuple[str, str]:
    """The explanation: how late, what decided it, and when help would have been there without it."""
    if late_by_s <= 0:
        return (
            f"Tiba {clock(response_s)}, tetapi tetap dihitung terlambat: catatannya diubah setelah dinilai ({why}).",
            f"There at {clock(response_s)}, but still counted late: its record was changed after it was settled ({why}).",
        )
    late_id, late_en = ("kurang dari 1", "less than 1") if late_by_s < 1 else (f"{late_by_s:.0f}", f"{late_by_s:.0f}")
    head_id = f"Terlambat {late_id} detik (tiba {clock(response_s)}): "
    head_en = f"Late by {late_en} s (there at {clock(response_s)}): "
    if decisive is not None:
        row = next(r for r in rows if r.code == decisive)
        text_id, text_en = detail(row)
        with_it = clock(row.would_be_s)
        return f"{head_id}{text_id}; tanpa itu tiba {with_it}.", f"{head_en}{text_en}; without that, {with_it}."
    by_code = {r.code: r for r in rows}
    if together:
        named = [detail(by_code[code]) for code in together]
        total_s = response_s - sum(by_code[code].saved_s for code in together)
        return (
            f"{head_id}tidak ada satu sebab tunggal; {'; '.join(d[0] for d in named)}; tanpa semuanya tiba {clock(total_s)}.",
            f"{head_en}no single cause; {'; '.join(d[1] for d in named)}; without all of these, {clock(total_s)}.",
        )
    if rows:
        text_id, text_en = detail(rows[0])
        return (
            f"{head_id}tidak terjangkau dalam {TARGET_S / 60:.0f} menit walau semua tepat waktu; terbesar: {text_id}.",
            f"{head_en}out of reach in {TARGET_S / 60:.0f} minutes even had all gone right; largest: {text_en}.",
        )
    return (
        f"{head_id}semua tahap tepat waktu; tidak ada unit yang dapat tiba lebih cepat.",
        f"{head_en}every step was on time; no unit could have been there sooner.",
    )


def no_arrival_sentences(code: str, legs: Sequence[Leg], shortfall: str) -> tuple[str, str]:
    """For a response nobody capable is recorded to have reached."""
    units = ", ".join(dict.fromkeys(leg.unit_id for leg in legs)) or "-"
    texts = {
        "nobody_sent": (
            "Terlambat: tidak ada unit yang pernah dikirim" + (f" ({shortfall})." if shortfall else "."),
            "Late: no unit was ever sent" + (f" ({shortfall})." if shortfall else "."),
        ),
        "still_coming": (
            f"Terlambat: 7 menit lewat, belum ada yang tiba; {units} masih di jalan.",
            f"Late: 7 minutes have passed and nobody is there; {units} still on the way.",
        ),
        "not_capable": (
            f"Terlambat: yang tercatat tiba ({units}) tidak memiliki kemampuan yang diminta rencana.",
            f"Late: those recorded at the scene ({units}) lack what the plan asks for.",
        ),
        "button_not_pressed": (
            f"Dihitung terlambat: geofence mencatat {units} di lokasi, tetapi kru tidak menekan Tiba.",
            f"Counted late: the geofence saw {units} at the scene, but the crew never confirmed the arrival.",
        ),
        "nobody_came": (
            f"Terlambat: semua yang diperintah ({units}) menolak atau tidak menjawab.",
            f"Late: all who were asked ({units}) declined or did not answer.",
        ),
        "arrival_not_recorded": (
            f"Dihitung terlambat: kedatangan {units} tidak pernah tercatat.",
            f"Counted late: the arrival of {units} was never recorded.",
        ),
    }
    return texts[code]
