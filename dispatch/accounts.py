"""Accounts, sessions and device tokens: who is calling.

Everything in force is held in memory, so knowing who calls takes no query and goes on working while the database is
gone; changes are written through. Other processes on the same database learn of a new session or token when it is
first shown to them, and of everything else at their next `refresh` (every REFRESH_S).
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec

from dispatch.account_rows import (
    Account,
    AccountStore,
    AccountsUnavailable,
    Audit,
    CallerReading,
    DeviceToken,
    KnownBrowser,
    Row,
    Session,
)
from dispatch.clock import Clock
from dispatch.model import Actor, Rejected
from dispatch.passwords import Passwords, check_password_rules
from dispatch.roles import CONTROL_ROOM, DEVICES, STAFF, Role
from dispatch.throttle import SignInThrottle
from dispatch.webpush import Subscription

log = logging.getLogger("siaga.accounts")

REFRESH_S = 10.0
"""How long another process may still honour what was disabled or revoked here."""
DESK_SESSION = timedelta(hours=13)
"""A twelve-hour shift and its handover; nobody is signed out with a caller on the line."""
OFFICE_SESSION = timedelta(hours=9)
"""A working day, for roles outside the control room."""
BROWSER_KNOWN = timedelta(days=180)
"""Longest absence after which a workstation still counts as known; see `throttle.py`."""
SESSIONS_PER_ACCOUNT_MAX = 10
"""Workstations one person is signed in at; the oldest session ends when there is one more."""
USERNAME = re.compile(r"^[a-z0-9][a-z0-9._-]{1,39}$")
NAME_LENGTH_MAX = 80
SYSTEM = "system:siaga"


class DemoCredentials(Exception):  # noqa: N818
    """Demo accounts or tokens stand in a production database; the text names them."""


class SignedIn(msgspec.Struct, frozen=True):
    """A live session and whose it is."""

    account: Account
    session: Session

    @property
    def csrf_token(self) -> str:
        return self.session.csrf_token

    @property
    def actor(self) -> Actor:
        return Actor(role=self.account.role.value, name=self.account.username)


class NewSession(msgspec.Struct, frozen=True):
    """What a sign-in hands to the browser: `token` and `browser_token` as HttpOnly cookies."""

    account: Account
    token: str
    csrf_token: str
    browser_token: str
    expires_at: datetime


def hash_token(token: str) -> bytes:
    """Tokens carry 256 random bits, so a plain SHA-256 is enough to keep them by."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()  # headers may hold any byte


class Accounts:
    """`allow_demo` is True under `make run` only: elsewhere demo credentials count as unknown."""

    def __init__(
        self,
        store: AccountStore,
        clock: Clock,
        *,
        passwords: Passwords | None = None,
        throttle: SignInThrottle | None = None,
        allow_demo: bool = False,
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self.store = store
        self.clock = clock
        self.passwords = passwords or Passwords()
        self.throttle = throttle or SignInThrottle()
        self.allow_demo = allow_demo
        self._new_token = new_token
        self._accounts: dict[str, Account] = {}
        self._sessions: dict[bytes, Session] = {}
        self._browsers: dict[bytes, KnownBrowser] = {}
        self._tokens: dict[bytes, DeviceToken] = {}
        self._changes = 0
        self._unsaved: list[Row] = []
        """Sessions begun while the database was gone; written at the next refresh."""

    # --- keeping up

    async def refresh(self) -> None:
        """Read everything again: at start, and every REFRESH_S. Raises AccountsUnavailable; what is known stays."""
        now_at = self.clock.now()
        while self._unsaved:
            await self.store.put(self._unsaved[0])
            self._unsaved.pop(0)
        for _ in range(3):  # what changed here while the rows travelled must not be undone by them
            changes = self._changes
            rows = await self.store.load(now_at)
            if changes == self._changes:
                break
        else:
            return
        self._accounts = {r.username: r for r in rows if isinstance(r, Account)}
        self._sessions = {r.token_hash: r for r in rows if isinstance(r, Session) and r.expires_at > now_at}
        self._browsers = {r.token_hash: r for r in rows if isinstance(r, KnownBrowser) and r.expires_at > now_at}
        self._tokens = {r.token_hash: r for r in rows if isinstance(r, DeviceToken) and r.revoked_at is None}

    def refuse_demo(self) -> None:
        """Production start: raises DemoCredentials when any demo account or token is in force."""
        names = sorted(a.username for a in self._accounts.values() if a.demo and a.disabled_at is None)
        names += sorted(f"token of {t.holder}" for t in self._tokens.values() if t.demo)
        if names:
            raise DemoCredentials(", ".join(names))

    # --- who is calling

    async def session(self, token: str) -> SignedIn | None:
        """Whose session cookie this is; None when nobody's. Asks the database only about tokens never seen here."""
        token_hash = hash_token(token)
        session = self._sessions.get(token_hash)
        if session is None:
            try:
                session = await self.store.find_session(token_hash)
            except AccountsUnavailable:
                return None
        if session is None or session.expires_at <= self.clock.now():
            return None
        account = self._usable(session.username)
        if account is None:
            return None
        self._sessions[token_hash] = session
        return SignedIn(account, session)

    async def device(self, token: str) -> DeviceToken | None:
        """Whose bearer token this is; None when nobody's."""
        token_hash = hash_token(token)
        found = self._tokens.get(token_hash)
        if found is None:
            try:
                found = await self.store.find_device_token(token_hash)
            except AccountsUnavailable:
                return None
            if found is None or found.revoked_at is not None:
                return None
            self._tokens[token_hash] = found
        return None if found.demo and not self.allow_demo else found

    def account(self, username: str) -> Account | None:
        return self._accounts.get(username.lower())

    def all(self) -> list[Account]:
        return sorted(self._accounts.values(), key=lambda a: a.username)

    def _usable(self, username: str) -> Account | None:
        account = self._accounts.get(username)
        if account is None or account.disabled_at is not None or (account.demo and not self.allow_demo):
            return None
        return account

    # --- signing in and out

    async def sign_in(self, username: str, password: str, source: str, browser_token: str | None = None) -> NewSession:
        """Begin a session. `source` is the caller's address, `browser_token` the cookie of an earlier sign-in.

        Raises Rejected: `bad_credentials`, or `rate_limited` with `retry_after_s` before the password is looked at.
        """
        now_at = self.clock.now()
        now_s = now_at.timestamp()
        username = username.strip().lower()[:NAME_LENGTH_MAX]
        account = self._usable(username)
        browser = self._known_browser(username, browser_token, now_at)
        wait_s = self.throttle.wait_s(username, source, browser, now_s)
        if wait_s > 0:
            raise Rejected("rate_limited", retry_after_s=int(wait_s) + 1)
        self.throttle.tried(username, source, browser, now_s)
        if not await self.passwords.verify(account.password_hash if account else None, password) or account is None:
            raise Rejected("bad_credentials")
        self.throttle.succeeded(username, source, browser, now_s)
        if self.passwords.outdated(account.password_hash):
            account = msgspec.structs.replace(account, password_hash=await self.passwords.hash(password))
            await self._save_when_possible(account, None)
        return await self._begin(account, source, browser_token if browser is not None else None, now_at)

    def _known_browser(self, username: str, token: str | None, now_at: datetime) -> bytes | None:
        if token is None:
            return None
        known = self._browsers.get(hash_token(token))
        return known.token_hash if known and known.username == username and known.expires_at > now_at else None

    async def _begin(self, account: Account, source: str, browser_token: str | None, now_at: datetime) -> NewSession:
        token, csrf_token = self._new_token(), self._new_token()
        browser_token = browser_token or self._new_token()
        life = DESK_SESSION if account.role in CONTROL_ROOM else OFFICE_SESSION
        session = Session(hash_token(token), account.username, csrf_token, now_at, now_at + life)
        browser = KnownBrowser(hash_token(browser_token), account.username, now_at + BROWSER_KNOWN)
        audit = Audit(now_at, f"{account.role}:{account.username}", account.username, "sign_in", {"source": source})
        await self._save_when_possible(session, audit)
        await self._save_when_possible(browser, None)
        self._sessions[session.token_hash] = session
        self._browsers[browser.token_hash] = browser
        mine = sorted(
            (s for s in self._sessions.values() if s.username == account.username), key=lambda s: s.created_at
        )
        await self._end([s for s in mine[:-SESSIONS_PER_ACCOUNT_MAX] if s is not session], None)
        return NewSession(account, token, csrf_token, browser_token, session.expires_at)

    async def _save_when_possible(self, row: Row, audit: Audit | None) -> None:
        """A dispatcher can sign in while the database is gone; the row is kept here and written later."""
        if isinstance(row, Account):
            self._accounts[row.username] = row
        self._changes += 1
        try:
            await self.store.put(row, audit=audit)
        except AccountsUnavailable:
            log.warning("database gone: keeping a %s in memory", type(row).__name__)
            self._unsaved.append(row)

    async def sign_out(self, token: str) -> None:
        """End this session; the others of the account stay."""
        session = self._sessions.get(hash_token(token))
        if session is not None:
            now_at = self.clock.now()
            await self._end([session], Audit(now_at, f"account:{session.username}", session.username, "sign_out"))

    async def _end(self, sessions: list[Session], audit: Audit | None) -> None:
        hashes = [session.token_hash for session in sessions]
        self._changes += 1
        for token_hash in hashes:
            self._sessions.pop(token_hash, None)
        self._unsaved = [r for r in self._unsaved if not (isinstance(r, Session) and r.token_hash in hashes)]
        if hashes:
            try:
                await self.store.delete_sessions(hashes, audit)
            except AccountsUnavailable:
                log.warning("database gone: %d ended sessions may come back until they expire", len(hashes))

    # --- accounts

    async def create(self, username: str, name: str, role: Role, password: str, by: str, demo: bool = False) -> Account:
        """A new account. Raises Rejected: `invalid_username`, `invalid_name`, `invalid_role`, `weak_password`,
        `username_taken`; AccountsUnavailable.
        """
        username = username.strip().lower()
        if not USERNAME.match(username):
            raise Rejected("invalid_username", "username")
        if not 1 <= len(name.strip()) <= NAME_LENGTH_MAX or not name.isprintable():
            raise Rejected("invalid_name", "name")
        if role not in STAFF:
            raise Rejected("invalid_role", "role")
        if username in self._accounts:
            raise Rejected("username_taken", "username")
        if not demo:
            check_password_rules(password, username)
        now_at = self.clock.now()
        password_hash = await self.passwords.hash(password)
        account = Account(username, name.strip(), role, password_hash, demo, now_at)
        await self._change(account, by, "created", {"role": role.value, "demo": demo})
        return account

    async def create_first_admin(self, username: str, name: str, password: str) -> Account:
        """The one account that needs nobody's permission. Raises Rejected("admin_exists") when there is one already."""
        await self.refresh()
        if any(a.role is Role.ADMIN and a.disabled_at is None and not a.demo for a in self._accounts.values()):
            raise Rejected("admin_exists")
        return await self.create(username, name, Role.ADMIN, password, SYSTEM)

    async def set_password(self, username: str, password: str, by: str) -> None:
        """Also ends every session of the account. Raises Rejected: `unknown_account`, `weak_password`."""
        account = self._known(username)
        check_password_rules(password, account.username)
        changed = msgspec.structs.replace(account, password_hash=await self.passwords.hash(password))
        await self._change(changed, by, "password_changed", {})
        await self._end_all(account.username)

    async def set_role(self, username: str, role: Role, by: str) -> None:
        """Also ends every session of the account. Raises Rejected: `unknown_account`, `invalid_role`, `last_admin`."""
        account = self._known(username)
        if role not in STAFF:
            raise Rejected("invalid_role", "role")
        if role is not Role.ADMIN:
            self._keep_an_admin(account)
        changed = msgspec.structs.replace(account, role=role)
        await self._change(changed, by, "role_changed", {"from": account.role.value, "to": role.value})
        await self._end_all(account.username)

    async def disable(self, username: str, by: str) -> None:
        """The account stays for the record, cannot sign in and is signed out. Raises Rejected: `unknown_account`,
        `last_admin`.
        """
        account = self._known(username)
        self._keep_an_admin(account)
        changed = msgspec.structs.replace(account, disabled_at=self.clock.now())
        await self._change(changed, by, "disabled", {})
        await self._end_all(account.username)

    async def enable(self, username: str, by: str) -> None:
        """Raises Rejected("unknown_account")."""
        await self._change(msgspec.structs.replace(self._known(username), disabled_at=None), by, "enabled", {})

    def _known(self, username: str) -> Account:
        account = self.account(username)
        if account is None:
            raise Rejected("unknown_account", "username")
        return account

    def _keep_an_admin(self, leaving: Account) -> None:
        others = (a for a in self._accounts.values() if a.username != leaving.username)
        if leaving.role is Role.ADMIN and not any(a.role is Role.ADMIN and a.disabled_at is None for a in others):
            raise Rejected("last_admin", "username")

    async def _change(self, account: Account, by: str, action: str, detail: dict[str, object]) -> None:
        await self.store.put(account, audit=Audit(self.clock.now(), by, account.username, action, detail))
        self._accounts[account.username] = account
        self._changes += 1

    async def _end_all(self, username: str) -> None:
        await self._end([s for s in self._sessions.values() if s.username == username], None)

    # --- device tokens

    async def issue_token(self, role: Role, holder: str, label: str, by: str, demo: bool = False) -> str:
        """A new bearer token for a unit's device or a partner's system, shown once. Raises Rejected("invalid_role")."""
        if role not in DEVICES:
            raise Rejected("invalid_role", "role")
        token = self._new_token()
        row = DeviceToken(hash_token(token), role, holder, label, demo, by, self.clock.now())
        audit = Audit(row.created_at, by, holder, "token_issued", {"role": role.value, "label": label, "demo": demo})
        await self.store.put(row, audit=audit)
        self._tokens[row.token_hash] = row
        self._changes += 1
        return token

    async def revoke_tokens(self, holder: str, by: str, device: str | None = None) -> int:
        """Every token of a holder, or the one of a device that was lost. How many there were."""
        now_at = self.clock.now()
        rows = [t for t in self._tokens.values() if t.holder == holder and device in (None, t.device)]
        if rows:
            revoked = [msgspec.structs.replace(t, revoked_at=now_at) for t in rows]
            detail = {"count": len(rows), "devices": [t.device for t in rows]}
            await self.store.put(*revoked, audit=Audit(now_at, by, holder, "tokens_revoked", detail))
        for row in rows:
            self._tokens.pop(row.token_hash, None)
        self._changes += 1
        return len(rows)

    def in_force(self, holder: str, device: str) -> bool:
        """Whether this device's token still opens anything."""
        return any(t.holder == holder and t.device == device for t in self._tokens.values())

    async def set_push(self, holder: str, device: str, push: Subscription | None) -> None:
        """Where this device can be woken from now on. Raises Rejected("unknown_device"); AccountsUnavailable."""
        row = next((t for t in self._tokens.values() if t.holder == holder and t.device == device), None)
        if row is None:
            raise Rejected("unknown_device")
        if row.push == push:
            return
        where = (push.endpoint, push.p256dh, push.auth) if push is not None else (None, None, None)
        changed = msgspec.structs.replace(row, push_endpoint=where[0], push_p256dh=where[1], push_auth=where[2])
        await self.store.put(changed)
        self._tokens[row.token_hash] = changed
        self._changes += 1

    def pushed(self, holder: str) -> list[DeviceToken]:
        """The devices of a holder that can be woken."""
        return [t for t in self._tokens.values() if t.holder == holder and t.push is not None]

    def tokens(self) -> list[DeviceToken]:
        return sorted(self._tokens.values(), key=lambda t: (t.holder, t.created_at))

    # --- personal data

    async def record_reading(self, report_id: str, region: str, actor: Actor, purpose: str) -> None:
        """Must have succeeded before a caller's data is shown. Raises AccountsUnavailable."""
        reading = CallerReading(self.clock.now(), region, report_id, actor.name, actor.role, purpose)
        await self.store.record_reading(reading)

    async def record_search(self, region: str, actor: Actor, purpose: str, report_ids: list[str]) -> None:
        """A search over callers and each report it found; what was searched for is itself personal data and not kept.
        Must have succeeded before anything is shown. Raises AccountsUnavailable.
        """
        now_at = self.clock.now()
        found = {"purpose": purpose, "found": len(report_ids)}
        await self.store.put(audit=Audit(now_at, str(actor), region, "callers_searched", found))
        for report_id in report_ids:
            await self.record_reading(report_id, region, actor, purpose)

    # --- demo

    async def prepare_demo(self, unit_ids: Iterable[str], password: str) -> dict[str, str]:
        """Under `make run`: one demo account a role, all with `password`, and a fresh token for every unit.

        Returns unit id -> token. Tokens of earlier demo runs stop working.
        """
        if not self.allow_demo:
            raise AssertionError("demo credentials outside a demo")
        await self.refresh()
        for role in sorted(STAFF):
            if role.value not in self._accounts:
                await self.create(role.value, f"Demo {role.value}", role, password, SYSTEM, demo=True)
        now_at = self.clock.now()
        old = [msgspec.structs.replace(t, revoked_at=now_at) for t in self._tokens.values() if t.demo]
        issued = {unit_id: self._new_token() for unit_id in unit_ids}
        new = [
            DeviceToken(hash_token(token), Role.CREW, unit_id, "demo", True, SYSTEM, now_at)
            for unit_id, token in issued.items()
        ]
        audit = Audit(now_at, SYSTEM, "demo", "demo_prepared", {"units": len(new)})
        await self.store.put(*old, *new, audit=audit)
        for row in old:
            self._tokens.pop(row.token_hash, None)
        self._tokens |= {row.token_hash: row for row in new}
        return issued
