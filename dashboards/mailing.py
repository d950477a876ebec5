"""Mails views of the board as PDF: settings from a file, one claim a mail so that of several nodes one sends, retries.

A mail may come twice when a node dies between sending and saying so; it never silently stays away: what fails is tried
again for as long as the day lasts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import smtplib
import ssl
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from dashboards.boards import Boards
from dashboards.keeping import Keeping
from dashboards.views import SavedView, due, is_address, read_address, view_pdf
from dispatch.journal import JournalUnavailable
from dispatch.model import Rejected
from sla import wording

log = logging.getLogger("siaga.mailing")

LOOK_EVERY_S = 60.0
RETRY_AFTER = timedelta(minutes=10)
TIMEOUT_S = 20.0
"""A mail server that does not answer within this is tried again later."""
PORTS = {"smtp": 587, "smtps": 465}
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Smtp(msgspec.Struct, frozen=True):
    """Where mail is handed over. Without TLS only on the machine itself."""

    host: str
    port: int
    sender: str
    implicit_tls: bool = False
    starttls: bool = True
    username: str = ""
    password: str = ""


def read_smtp(environment: Mapping[str, str] = os.environ) -> Smtp | None:
    """From the file SIAGA_SMTP_FILE names: one line `smtp[s]://user:password@host:port?from=address`. None = no mail.

    Raises ValueError, without the password in it, when the line cannot be meant.
    """
    named = environment.get("SIAGA_SMTP_FILE")
    if not named:
        return None
    parts = urlsplit(Path(named).read_text("utf-8").strip())
    sender = parse_qs(parts.query).get("from", [""])[0]
    if parts.scheme not in PORTS or not parts.hostname or not is_address(sender):
        raise ValueError("SIAGA_SMTP_FILE: expected smtp[s]://user:password@host:port?from=address")
    return Smtp(
        parts.hostname,
        parts.port or PORTS[parts.scheme],
        sender,
        implicit_tls=parts.scheme == "smtps",
        starttls=parts.scheme == "smtp" and parts.hostname not in LOOPBACK,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def hand_over(smtp: Smtp, messages: list[EmailMessage]) -> None:
    """Give messages to the mail server. Blocks; raises OSError or smtplib.SMTPException."""
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if smtp.implicit_tls:
        server = smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(smtp.host, smtp.port, timeout=TIMEOUT_S)
    with server:
        if smtp.starttls:
            server.starttls(context=context)
        if smtp.username:
            server.login(smtp.username, smtp.password)
        for message in messages:
            server.send_message(message)


class Mailer:
    """The mailing of one region on one node."""

    def __init__(self, boards: Boards, keeping: Keeping, smtp: Smtp, now: Callable[[], datetime]) -> None:
        self.boards = boards
        self.keeping = keeping
        self.smtp = smtp
        self.now = now
        self._again_at: dict[str, datetime] = {}

    async def run(self) -> None:
        while True:
            if not self.boards.catching_up():
                try:
                    await self.mail_due()
                except JournalUnavailable:
                    log.warning("mailing waits for the database")
                except Exception:  # one odd view must not cost all others tomorrow's mail
                    log.exception("mailing failed")
            await asyncio.sleep(LOOK_EVERY_S)

    async def mail_due(self) -> int:
        """Mail everything that is due now; how many views were mailed. Raises JournalUnavailable."""
        now, sent = self.now(), 0
        rows = await self.keeping.fetch("views_to_mail", self.keeping.region)
        for row in rows:
            view = msgspec.convert(dict(row), SavedView, builtin_types=(datetime,))
            day = due(view, now, self.boards.region.utc_offset_h)
            if day is None or self._again_at.get(view.id, now) > now:
                continue
            if not await self._claim(view.id, view.mailed_for, day):
                continue  # another node is at it
            try:
                await self.mail(view, day, now)
                sent += 1
                self._again_at.pop(view.id, None)
            except (OSError, smtplib.SMTPException) as error:
                log.warning("view %s could not be mailed: %s", view.id, type(error).__name__)
                self._again_at[view.id] = now + RETRY_AFTER
                await self._claim(view.id, day, view.mailed_for)
        return sent

    async def _claim(self, view_id: str, was: str, day: str) -> bool:
        return await self.keeping.value("claim_mailing", self.keeping.region, view_id, was, day) is not None

    async def mail(self, view: SavedView, day: str, now: datetime) -> None:
        """One mail to each addressee, so that nobody reads the others' addresses."""
        try:
            asked = read_address(view.query, self.boards.region)
        except Rejected:
            log.warning("view %s names what the region no longer has", view.id)
            return
        upto = date.fromisoformat(day) - timedelta(days=1)
        body, found = await view_pdf(self.boards, asked, upto, now)
        head = found.summary.headline
        messages = []
        for address in view.mail_to:
            message = EmailMessage()
            message["From"] = self.smtp.sender
            message["To"] = address
            message["Subject"] = f"Siaga 112: {view.name} ({day})"
            message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices back
            message.set_content(
                f"{view.name}\n\n{wording.percent(head.share)} ditolong dalam 7 menit: {wording.whole(head.within)} dari "
                f"{wording.whole(head.n)} keadaan darurat prioritas 1.\nRinciannya di lampiran.\n\n"
                "Surel ini dikirim karena tampilan ini disimpan dengan alamat Anda. Hapus di dasbor untuk berhenti.\n"
            )
            message.add_attachment(body, maintype="application", subtype="pdf", filename=f"siaga112-{day}.pdf")
            messages.append(message)
        await asyncio.to_thread(hand_over, self.smtp, messages)
        log.info("view %s mailed to %d for %s", view.id, len(messages), day)
