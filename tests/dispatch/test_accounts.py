"""Accounts, sessions, device tokens and the throttle, on the memory and the PostgreSQL store alike."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from argon2 import PasswordHasher

from dispatch.account_rows import AccountStore, AccountsUnavailable, MemoryAccounts, PostgresAccounts
from dispatch.accounts import DESK_SESSION, SESSIONS_PER_ACCOUNT_MAX, Accounts, DemoCredentials, NewSession
from dispatch.model import Actor, Rejected
from dispatch.passwords import WAITING_MAX, Passwords, check_password_rules, owasp_hasher
from dispatch.roles import CONTROL_ROOM, DEVICES, INCLUDES, STAFF, Role, allows
from dispatch.throttle import ACCOUNT_FAILURES_MAX, SOURCE_FAILURES_MAX, WINDOW_S, SignInThrottle

GOOD = "empat kuda lumping"
OFFICE, ATTACKER = "10.0.0.7", "203.0.113.9"


class HandClock:
    """Time that moves when the test says so."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def cheap() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> AccountStore:
    if request.param == "memory":
        return MemoryAccounts()
    return PostgresAccounts(request.getfixturevalue("pool"))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def accounts(store: AccountStore, clock: HandClock) -> Accounts:
    """With one dispatcher `siti` and one administrator `budi`."""
    made = Accounts(store, clock, passwords=cheap())
    await made.create_first_admin("budi", "Budi", GOOD)
    await made.create("siti", "Siti", Role.DISPATCHER, GOOD, "admin:budi")
    return made


def other_process(accounts: Accounts) -> Accounts:
    return Accounts(accounts.store, accounts.clock, passwords=accounts.passwords)


async def sign_in(accounts: Accounts, source: str = OFFICE, browser: str | None = None) -> NewSession:
    return await accounts.sign_in("siti", GOOD, source, browser)


async def guess_wrong(accounts: Accounts, times: int, source: str, browser: str | None = None) -> list[str]:
    """Codes of the refusals."""
    codes = []
    for _ in range(times):
        with pytest.raises(Rejected) as refusal:
            await accounts.sign_in("siti", "tebakan yang salah", source, browser)
        codes.append(refusal.value.code)
    return codes


# --- sessions


async def test_a_sign_in_opens_a_session_that_every_process_knows(accounts: Accounts) -> None:
    """The cookie is honoured here and, after its first showing, by another process; a made-up one by nobody."""
    new = await sign_in(accounts)
    here = await accounts.session(new.token)
    other = other_process(accounts)
    await other.refresh()
    there = await other.session(new.token)
    assert here is not None
    assert there is not None
    assert here.actor == there.actor == Actor("dispatcher", "siti")
    assert here.csrf_token == there.csrf_token == new.csrf_token
    assert await accounts.session("made up") is None


async def test_a_session_ends_after_the_shift(accounts: Accounts, clock: HandClock) -> None:
    """Thirteen hours for the control room, not a second more."""
    new = await sign_in(accounts)
    clock.pass_s(DESK_SESSION.total_seconds() - 1)
    assert await accounts.session(new.token) is not None
    clock.pass_s(1)
    assert await accounts.session(new.token) is None
    assert await other_process(accounts).session(new.token) is None


async def test_signing_out_ends_only_this_session(accounts: Accounts) -> None:
    """The other workstation stays signed in."""
    first, second = await sign_in(accounts), await sign_in(accounts)
    await accounts.sign_out(first.token)
    assert await accounts.session(first.token) is None
    assert await accounts.session(second.token) is not None


async def test_every_sign_in_gets_a_fresh_token(accounts: Accounts) -> None:
    """No session fixation: the token never comes from the browser, and nothing is shared between sessions."""
    sessions = [await sign_in(accounts) for _ in range(3)]
    assert len({s.token for s in sessions} | {s.csrf_token for s in sessions}) == 6


async def test_the_oldest_session_gives_way(accounts: Accounts, clock: HandClock) -> None:
    """Sessions of one account are bounded."""
    sessions = []
    for _ in range(SESSIONS_PER_ACCOUNT_MAX + 1):
        sessions.append(await sign_in(accounts))
        clock.pass_s(1)
    alive = [await accounts.session(s.token) is not None for s in sessions]
    assert alive == [False] + [True] * SESSIONS_PER_ACCOUNT_MAX


@pytest.mark.parametrize("how", ["disable", "set_password", "set_role"])
async def test_changing_an_account_signs_it_out_everywhere(accounts: Accounts, how: str) -> None:
    """Here at once, in other processes at their next refresh."""
    new = await sign_in(accounts)
    other = other_process(accounts)
    await other.refresh()
    assert await other.session(new.token) is not None
    match how:
        case "disable":
            await accounts.disable("siti", "admin:budi")
        case "set_password":
            await accounts.set_password("siti", "kuda terbang empat", "admin:budi")
        case _:
            await accounts.set_role("siti", Role.MANAGER, "admin:budi")
    await other.refresh()
    assert await accounts.session(new.token) is None
    assert await other.session(new.token) is None


async def test_secrets_are_kept_only_as_hashes(accounts: Accounts, store: AccountStore, clock: HandClock) -> None:
    """Whoever reads the database learns no password, no cookie and no device token."""
    new = await sign_in(accounts)
    token = await accounts.issue_token(Role.CREW, "A-01", "tablet", "admin:budi")
    kept = repr(await store.load(clock.now()))
    for secret in (GOOD, new.token, new.browser_token, token):
        assert secret not in kept


# --- passwords


async def test_wrong_unknown_and_disabled_look_the_same(accounts: Accounts) -> None:
    """A refusal does not tell whether the account exists."""
    await accounts.disable("siti", "admin:budi")
    for username, password in (("siti", GOOD), ("budi", "salah salah salah"), ("nobody", GOOD), ("", "")):
        with pytest.raises(Rejected) as refusal:
            await accounts.sign_in(username, password, OFFICE)
        assert (refusal.value.code, refusal.value.field, refusal.value.detail) == ("bad_credentials", None, {})


@pytest.mark.parametrize("password", ["pendek", "x" * 129, "aaaaaaaaaaaaaaaa", "rahasia-siti-112"])
def test_weak_passwords_are_refused(password: str) -> None:
    """Too short, too long, one letter, or the user's own name."""
    with pytest.raises(Rejected, match="weak_password"):
        check_password_rules(password, "siti")


async def test_the_same_word_from_another_keyboard_is_the_same_password(accounts: Accounts) -> None:
    """Composed and decomposed accents are one password."""
    await accounts.set_password("siti", "caf\u00e9 di ujung jalan", "admin:budi")
    assert (await accounts.sign_in("siti", "cafe\u0301 di ujung jalan", OFFICE)).account.username == "siti"


async def test_an_old_hash_is_made_again_at_sign_in(store: AccountStore, clock: HandClock) -> None:
    """Raising the cost reaches everybody as they sign in."""
    old = Accounts(store, clock, passwords=cheap())
    await old.create("siti", "Siti", Role.DISPATCHER, GOOD, "test")
    new = Accounts(store, clock, passwords=Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)))
    await new.refresh()
    await sign_in(new)
    account = new.account("siti")
    assert account is not None
    assert "m=16,t=2" in account.password_hash
    assert await sign_in(new)


def test_the_real_hasher_follows_owasp() -> None:
    """Argon2id, 19 MiB, two passes."""
    assert owasp_hasher().hash("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_flood_of_sign_ins_is_bounded() -> None:
    """Hashes wait in a bounded queue; what does not fit is told to come back."""
    passwords = cheap()
    results = await asyncio.gather(
        *(passwords.verify(None, f"x{n}") for n in range(WAITING_MAX + 20)), return_exceptions=True
    )
    assert sum(isinstance(r, Rejected) for r in results) == 20
    assert results.count(False) == WAITING_MAX
    assert await passwords.verify(None, "again") is False


# --- throttle


async def test_guessing_is_stopped_before_the_password_is_looked_at(accounts: Accounts) -> None:
    """After ten wrong guesses even the right password must wait, and the answer says how long."""
    codes = await guess_wrong(accounts, ACCOUNT_FAILURES_MAX + 2, ATTACKER)
    assert codes == ["bad_credentials"] * ACCOUNT_FAILURES_MAX + ["rate_limited"] * 2
    with pytest.raises(Rejected) as refusal:
        await sign_in(accounts, ATTACKER)
    assert 1 <= refusal.value.detail["retry_after_s"] <= WINDOW_S  # type: ignore[operator]


async def test_an_attacker_cannot_lock_a_dispatcher_out(accounts: Accounts) -> None:
    """Her own workstation and the control room's network are counted apart from strangers."""
    known = await sign_in(accounts, "198.51.100.4")
    accounts.throttle.trusted += SignInThrottle(["10.0.0.0/8"]).trusted
    await guess_wrong(accounts, 40, ATTACKER)
    assert await sign_in(accounts, "198.51.100.4", known.browser_token)
    assert await sign_in(accounts, OFFICE)
    with pytest.raises(Rejected, match="rate_limited"):
        await sign_in(accounts, "198.51.100.5")


async def test_a_known_browser_is_still_limited(accounts: Accounts) -> None:
    """A stolen workstation does not get free guesses."""
    known = await sign_in(accounts)
    codes = await guess_wrong(accounts, ACCOUNT_FAILURES_MAX + 1, OFFICE, known.browser_token)
    assert codes[-1] == "rate_limited"


async def test_a_browser_is_known_only_for_its_own_account(accounts: Accounts) -> None:
    """Budi's cookie gives no extra guesses at Siti's password."""
    budi = await accounts.sign_in("budi", GOOD, ATTACKER)
    await guess_wrong(accounts, ACCOUNT_FAILURES_MAX, ATTACKER, budi.browser_token)
    assert await guess_wrong(accounts, 1, ATTACKER) == ["rate_limited"]


async def test_waiting_gives_guesses_back_slowly(accounts: Accounts, clock: HandClock) -> None:
    """The count drains over the window instead of being reset at its end."""
    await guess_wrong(accounts, ACCOUNT_FAILURES_MAX, ATTACKER)
    clock.pass_s(WINDOW_S / ACCOUNT_FAILURES_MAX + 1)
    assert await guess_wrong(accounts, 2, ATTACKER) == ["bad_credentials", "rate_limited"]


async def test_right_sign_ins_are_not_counted_against_anybody(accounts: Accounts) -> None:
    """A whole shift may sign in from one address."""
    for _ in range(SOURCE_FAILURES_MAX + 5):
        await sign_in(accounts)


def test_one_source_cannot_spray_many_accounts() -> None:
    """Guessing one password at many accounts is stopped by the source's count; IPv6 is counted by /64."""
    throttle = SignInThrottle()
    for n in range(SOURCE_FAILURES_MAX):
        throttle.tried(f"user{n}", f"2001:db8:1:2::{n:x}", None, 0.0)
    assert throttle.wait_s("fresh", "2001:db8:1:2:ffff::1", None, 0.0) > 0
    assert throttle.wait_s("fresh", "2001:db8:1:3::1", None, 0.0) == 0


# --- accounts


async def test_the_first_administrator_is_made_once(accounts: Accounts) -> None:
    """The command cannot be used to become administrator later."""
    with pytest.raises(Rejected, match="admin_exists"):
        await accounts.create_first_admin("mallory", "Mallory", GOOD)


async def test_the_last_administrator_stays(accounts: Accounts) -> None:
    """Nobody can lock everybody out of the settings."""
    with pytest.raises(Rejected, match="last_admin"):
        await accounts.disable("budi", "admin:budi")
    with pytest.raises(Rejected, match="last_admin"):
        await accounts.set_role("budi", Role.MANAGER, "admin:budi")
    await accounts.create("ani", "Ani", Role.ADMIN, GOOD, "admin:budi")
    await accounts.disable("budi", "admin:ani")


@pytest.mark.parametrize(
    ("username", "name", "role", "code"),
    [
        ("Siti", "Siti", Role.DISPATCHER, "username_taken"),
        ("a b", "A", Role.DISPATCHER, "invalid_username"),
        ("../x", "A", Role.DISPATCHER, "invalid_username"),
        ("ani", "", Role.DISPATCHER, "invalid_name"),
        ("ani", "A\x00", Role.DISPATCHER, "invalid_name"),
        ("ani", "Ani", Role.CREW, "invalid_role"),
    ],
)
async def test_bad_account_data_is_refused_by_field(
    accounts: Accounts, username: str, name: str, role: Role, code: str
) -> None:
    """Each refusal has its own code, and nothing is created."""
    before = accounts.all()
    with pytest.raises(Rejected) as refusal:
        await accounts.create(username, name, role, GOOD, "admin:budi")
    assert refusal.value.code == code
    assert accounts.all() == before


# --- devices


async def test_a_device_token_names_its_unit_until_revoked(accounts: Accounts) -> None:
    """Another process honours it at once and stops at its next refresh after the loss is reported."""
    token = await accounts.issue_token(Role.CREW, "A-01", "tablet 3", "admin:budi")
    other = other_process(accounts)
    await other.refresh()
    device = await other.device(token)
    assert device is not None
    assert (device.role, device.holder) == (Role.CREW, "A-01")
    assert await accounts.revoke_tokens("A-01", "admin:budi") == 1
    assert await accounts.device(token) is None
    await other.refresh()
    assert await other.device(token) is None
    assert await accounts.device("made up") is None


# --- demo


async def test_demo_credentials_work_in_a_demo_and_nowhere_else(accounts: Accounts) -> None:
    """Production neither accepts a demo password, session or token, nor starts while they are there."""
    demo = Accounts(accounts.store, accounts.clock, passwords=accounts.passwords, allow_demo=True)
    tokens = await demo.prepare_demo(["A-01", "A-02"], "siaga112-demo")
    session = await demo.sign_in("dispatcher", "siaga112-demo", "127.0.0.1")
    assert await demo.session(session.token) is not None
    assert await demo.device(tokens["A-01"]) is not None

    await accounts.refresh()
    assert await accounts.session(session.token) is None
    assert await accounts.device(tokens["A-01"]) is None
    with pytest.raises(Rejected, match="bad_credentials"):
        await accounts.sign_in("dispatcher", "siaga112-demo", "127.0.0.1")
    with pytest.raises(DemoCredentials, match=r"dispatcher.*token of A-01"):
        accounts.refuse_demo()
    with pytest.raises(AssertionError):
        await accounts.prepare_demo([], "siaga112-demo")


async def test_each_demo_start_makes_fresh_tokens(accounts: Accounts) -> None:
    """Yesterday's demo token is worth nothing today."""
    demo = Accounts(accounts.store, accounts.clock, passwords=accounts.passwords, allow_demo=True)
    first = await demo.prepare_demo(["A-01"], "siaga112-demo")
    second = await demo.prepare_demo(["A-01"], "siaga112-demo")
    assert await demo.device(first["A-01"]) is None
    assert await demo.device(second["A-01"]) is not None


async def test_a_production_database_has_nothing_to_refuse(accounts: Accounts) -> None:
    """Real accounts are no demo accounts."""
    accounts.refuse_demo()


# --- when the database is gone


async def test_signing_in_goes_on_while_the_database_is_gone(clock: HandClock) -> None:
    """Known accounts sign in and stay known; the session is written when the database is back."""
    store = MemoryAccounts()
    accounts = Accounts(store, clock, passwords=cheap())
    await accounts.create("siti", "Siti", Role.DISPATCHER, GOOD, "test")
    store.down = True
    new = await sign_in(accounts)
    assert await accounts.session(new.token) is not None
    assert await accounts.session("unknown") is None
    with pytest.raises(AccountsUnavailable):
        await accounts.refresh()
    with pytest.raises(AccountsUnavailable):
        await accounts.create("ani", "Ani", Role.DISPATCHER, GOOD, "test")
    assert accounts.account("ani") is None
    store.down = False
    await accounts.refresh()
    assert await other_process(accounts).session(new.token) is None  # it does not know the account before its refresh
    other = other_process(accounts)
    await other.refresh()
    assert await other.session(new.token) is not None


# --- audit


async def test_every_change_leaves_an_audit_line_that_cannot_be_changed(pool: asyncpg.Pool, clock: HandClock) -> None:
    """Who, whom, what; the application itself may only add."""
    accounts = Accounts(PostgresAccounts(pool), clock, passwords=cheap())
    await accounts.create_first_admin("budi", "Budi", GOOD)
    await accounts.create("siti", "Siti", Role.DISPATCHER, GOOD, "admin:budi")
    await sign_in(accounts)
    await accounts.record_reading("R-1", "sby", Actor("dispatcher", "siti"), "callback")
    lines = await pool.fetch("SELECT actor, subject, action FROM account_audit ORDER BY id")
    assert [tuple(line) for line in lines] == [
        ("system:siaga", "budi", "created"),
        ("admin:budi", "siti", "created"),
        ("dispatcher:siti", "siti", "sign_in"),
    ]
    readings = await pool.fetch("SELECT username, role, report_id, purpose FROM caller_reading")
    assert [tuple(r) for r in readings] == [("siti", "dispatcher", "R-1", "callback")]
    for statement in ("DELETE FROM account_audit", "UPDATE caller_reading SET purpose = 'x'", "TRUNCATE account_audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


# --- roles


def test_the_control_room_is_a_ladder_and_nothing_else_is() -> None:
    """A supervisor may do what a dispatcher may; administrator, manager and auditor may touch no emergency."""
    assert allows(Role.SUPERVISOR, {Role.CALL_TAKER})
    assert allows(Role.DISPATCHER, {Role.CALL_TAKER})
    assert not allows(Role.CALL_TAKER, {Role.DISPATCHER})
    for role in set(Role) - CONTROL_ROOM:
        assert INCLUDES[role] == {role}
    assert not allows(None, set(Role))
    assert set(INCLUDES) == set(Role) == STAFF | DEVICES
