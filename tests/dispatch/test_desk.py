"""What several people at one desk may do to each other: claims that run out, versions, sessions that end; and a call's record."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from dispatch import commands as co
from dispatch.api import console
from dispatch.doubt import EarlierCall, weigh
from dispatch.model import Actor, Rejected
from siaga.serve import Server
from tests.dispatch.server import client, town_server
from tests.dispatch.test_engine import T0, TAKER, after, make_engine, report

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
OTHER = Actor(role="call_taker", name="wati")
SUPERVISOR = Actor(role="supervisor", name="kepala")
REPORT = "L260302-0001"


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with town_server(database, tmp_path) as running:
        yield running


# --- claims


def test_an_answered_call_is_taken_over_only_when_its_claim_has_run_out() -> None:
    """Who answered keeps the call for three minutes; then a colleague may go on with it, and has it for three minutes."""
    engine = make_engine()
    engine.step(co.PresentCall(call_id="c1"), T0, TAKER)
    engine.step(co.AnswerReport(report_id=REPORT), after(5), TAKER)
    with pytest.raises(Rejected, match="claimed") as refused:
        engine.step(co.AnswerReport(report_id=REPORT), after(100), OTHER)
    assert refused.value.detail == {"by": TAKER.name, "until": after(185)}
    assert engine.step(co.AnswerReport(report_id=REPORT), after(185), OTHER)
    assert engine.state.reports[REPORT].answered_by == OTHER.name
    assert engine.state.reports[REPORT].answered_at == after(5)
    with pytest.raises(Rejected, match="claimed"):
        engine.step(co.AnswerReport(report_id=REPORT), after(190), TAKER)


def test_a_supervisor_takes_a_call_over_at_once() -> None:
    engine = make_engine()
    engine.step(co.PresentCall(call_id="c1"), T0, TAKER)
    engine.step(co.AnswerReport(report_id=REPORT), after(5), TAKER)
    engine.step(co.AnswerReport(report_id=REPORT), after(6), SUPERVISOR)
    assert engine.state.reports[REPORT].answered_by == SUPERVISOR.name


# --- versions


def test_what_was_decided_on_an_older_state_is_refused() -> None:
    """Closing, cancelling, merging, raising and saying yes carry the version they saw."""
    engine = make_engine()
    engine.step(report("medis"), after(1), TAKER)
    engine.step(report("kebakaran", 0.02), after(2), TAKER)
    one, two = list(engine.state.incidents)
    old = engine.state.incidents[one].version
    engine.step(co.NoteIncident(incident_id=one, text="pelapor menunggu di gapura"), after(3), OTHER)
    late = [
        co.CancelIncident(incident_id=one, reason="laporan palsu", version=old),
        co.CloseIncident(incident_id=one, outcome="selesai", version=old),
        co.MergeIncident(incident_id=one, into=two, version=old),
        co.RaiseAlarm(incident_id=one, reason="api membesar", version=old),
    ]
    for command in late:
        with pytest.raises(Rejected, match="changed_meanwhile"):
            engine.step(command, after(4), SUPERVISOR)
    now = engine.state.incidents[one].version
    assert engine.step(co.CancelIncident(incident_id=one, reason="laporan palsu", version=now), after(5), SUPERVISOR)


# --- a number's record


def earlier(state: str, why: str | None = None, incident: str | None = None, outcome: str | None = None) -> EarlierCall:
    return EarlierCall(NOW - timedelta(days=1), state, why, incident, outcome)


def test_a_number_without_a_record_gets_no_figure() -> None:
    assert weigh([], NOW).prank is None
    assert weigh([earlier("dismissed", "Minta informasi")], NOW).prank is None


def test_pranks_raise_the_figure_and_real_emergencies_lower_it() -> None:
    """Every figure comes with the counts that made it."""
    prank, real = earlier("dismissed", "Iseng"), earlier("attached", incident="closed", outcome="Selesai")
    worse, better = weigh([prank] * 3, NOW), weigh([real] * 3, NOW)
    mixed = weigh([prank, real, earlier("attached", incident="cancelled", outcome="Laporan palsu")], NOW)
    assert (worse.prank or 0) > (mixed.prank or 0) > (better.prank or 0)
    assert better.prank
    assert [(r.code, r.calls) for r in mixed.reasons] == [("pranks", 2), ("real", 1)]
    assert worse.approximate


def test_silent_calls_and_lines_that_broke_off_are_told_apart_from_pranks() -> None:
    just_now = EarlierCall(NOW - timedelta(minutes=2), "abandoned", None, None, None)
    found = weigh([earlier("dismissed", "Diam, sudah ditelepon balik dan aman"), just_now], NOW)
    assert found.silent == pytest.approx(2 / 3, abs=0.001)
    assert [(r.code, r.calls) for r in found.reasons] == [("silent", 1), ("hung_up", 1)]


# --- on the wire


async def test_the_record_of_a_number_shows_counts_and_nobodys_number(server: Server) -> None:
    """Two pranks, then a third call: the desk sees why, not who."""
    async with client(server, "exchange") as exchange, client(server, "call_taker") as taker:
        for n in range(3):
            body = {"call_id": uuid.uuid4().hex, "phone": "+62000000077"}
            _, call = await exchange.post("/api/v1/partner/present_call", body)
            if n < 2:
                await taker.do("answer_report", report_id=call["report_id"])
                await taker.do("dismiss_report", report_id=call["report_id"], reason="Iseng")
        status, doubt = await taker.get(f"/api/v1/reports/{call['report_id']}/doubt")
        assert status == 200
        assert doubt["reasons"] == [{"code": "pranks", "calls": 2}]
        assert doubt["prank"] > 0.7
        assert "000000077" not in json.dumps(doubt)
        assert (await taker.get("/api/v1/reports/L1/doubt"))[0] == 404


async def test_a_stream_ends_when_the_account_loses_its_rights(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody watches the city on rights that were taken away: the open line closes with a code of its own."""
    monkeypatch.setattr(console, "SESSION_CHECK_S", 0.01)
    async with (
        client(server, "dispatcher") as dispatcher,
        client(server, "admin") as admin,
        dispatcher.socket("/api/v1/console/stream") as socket,
    ):
        await socket.receive()
        path, change = f"{server.url}/api/v1/accounts/dispatcher", {"disabled": True}
        async with admin.http.patch(path, json=change, headers=admin.headers) as answer:
            assert answer.status == 200, await answer.text()
        while (message := await asyncio.wait_for(socket.receive(), 10)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.data == console.CLOSE_SIGNED_OUT
