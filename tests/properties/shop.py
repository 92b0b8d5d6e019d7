"""The shop as its people and programs reach it: every step that the state machine can take.

Shoppers and admins call their RPCs as themselves, webhooks go through the edge's own view, jobs are
the worker's functions on the outbox's own rows, and the gateways are the sandbox over HTTP. What a
service function was asked and answered is kept once it is committed: the model is told of it.

A process dies by `Died`, which no handler of the job catches, between any two of its steps outside
itself. A connection is ended by the server in the middle of a transaction: the function is made to
wait for a table, and its server process is terminated while it waits.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from flask.testing import FlaskClient
from psycopg import sql

from edge_workers.config import Settings
from edge_workers.db import Session
from edge_workers.errors import AppError, DatabaseUnavailable
from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import StartedPayment, StartPayment
from edge_workers.providers.errors import ProviderError, Unverified
from tests.concurrency.shoppers import Admin
from tests.contracts.peer import Heard, Peer
from tests.properties.people import People
from tests.properties.rail import Rail
from tests.properties.scratch import Scratch
from tests.sandbox.running import RunningSandbox
from worker.breaker import Breaker
from worker.jobs import JOBS, orders
from worker.task import Task

Answer = TypeVar("Answer")

PHONE: Final = "+237671112233"
"""A handset that waits for the control, and to which transfers do."""
LEASE_SECONDS: Final = 60
NOTICE_SECONDS: Final = 20.0
LOCK_SECONDS: Final = 5.0

_TIMES = {
    "public.orders": ("created_at", "expires_at", "paid_at", "cancelled_at"),
    "public.payments": (
        "created_at",
        "expires_at",
        "superseded_at",
        "next_check_at",
        "evidence_at",
        "paid_at",
    ),
    "public.refunds": ("created_at", "sent_at", "next_check_at", "refunded_at"),
    "private.outbox": ("created_at", "available_at"),
    "private.payment_exceptions": ("created_at",),
}
_last_digit = re.compile(r"[0-9a-f](?=[^0-9a-f]*\Z)", re.IGNORECASE)


class Died(BaseException):
    """The process is gone: nothing after this runs."""


@dataclass(frozen=True)
class Said:
    """What a service function was asked and what it answered; it is committed."""

    name: str
    args: Mapping[str, Any]
    answer: Any


@dataclass(frozen=True)
class Told:
    """What a gateway's adapter answered to a job: a result, or the error it raised."""

    gateway: str
    answer: Any
    about: Mapping[str, Any]
    """The payment that was asked about, as the job had it; empty where a refund was."""


@dataclass
class Fate:
    """What befalls one process; nothing by default."""

    dies_at: int | None = None
    """It dies at this step outside itself: each call begins with one and ends with one."""
    breaks_at: int | None = None
    """This call of the database is ended by the server while it waits for `table`."""
    table: str = "public.orders"
    _steps: int = 0
    _calls: int = 0

    def step(self) -> None:
        """Raises `Died` when its time has come."""
        if self._steps == self.dies_at:
            raise Died
        self._steps += 1

    def breaks_now(self) -> bool:
        """Whether this call of the database is the one to be broken."""
        self._calls += 1
        return self._calls - 1 == self.breaks_at


@dataclass(frozen=True)
class Notice:
    """A webhook on its way, which may be delivered at any time and any number of times."""

    gateway: str
    heard: Heard


class Witness(Breaker):
    """Asks gateways for one job, and keeps what they said."""

    def __init__(self, told: list[Told], fate: Fate) -> None:
        self._told = told
        self._fate = fate
        self.about: Mapping[str, Any] = {}

    def ask(self, gateway: str, question: Callable[[], Answer]) -> Answer:
        self._fate.step()
        try:
            answer = question()
        except ProviderError as error:
            self._told.append(Told(gateway, error, self.about))
            self._fate.step()
            raise
        self._told.append(Told(gateway, answer, self.about))
        self._fate.step()
        return answer


@dataclass
class Shop:
    """Everything at once. One step at a time."""

    people: People
    locker: Admin
    scratch: Scratch
    settings: Settings
    sandbox: RunningSandbox
    letterbox: Peer
    edge: FlaskClient
    rail: Rail
    after_commit: Callable[[], None] = lambda: None
    said: list[Said] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    crashes: Counter[str] = field(default_factory=Counter)
    """What broke on the way."""
    _session: Session | None = None
    _heard: int = 0

    # the database

    @property
    def admin(self) -> Admin:
        """A superuser's connection, for looking and for time."""
        return self.people.admin

    @property
    def session(self) -> Session:
        """The service's connection, a new one after the last was lost."""
        if self._session is None or self._session.is_lost:
            self._session = Session.open(self.scratch.service_url, application_name="properties")
        return self._session

    def call(self, name: str, /, fate: Fate | None = None, **args: Any) -> Any:
        """Runs a service function; keeps what it said."""
        fate = fate or Fate()
        fate.step()
        if fate.breaks_now():
            answer = self._broken(fate.table, name, args)
        else:
            answer = self.session.call(name, **args)
        self.said.append(Said(name, args, answer))
        self.after_commit()
        fate.step()
        return answer

    def _broken(self, table: str, name: str, args: Mapping[str, Any]) -> Any:
        """Runs the function; if it comes to wait for the table, its server process is ended."""
        session = self.session
        pid = session._connection.info.backend_pid
        done: list[Any] = []
        lock = sql.SQL("lock table {} in exclusive mode").format(sql.Identifier(*table.split(".")))

        def run() -> None:
            try:
                done.append(session.call(name, **args))
            except AppError as error:
                done.append(error)

        with self.locker.transaction():
            self.locker.execute(lock)
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            if self._comes_to_wait(pid, thread):
                self.admin.execute("select pg_terminate_backend(%s)", [pid])
                self.crashes["a connection was ended"] += 1
                thread.join(LOCK_SECONDS)
        thread.join(LOCK_SECONDS)
        assert done, f"{name} did not end"
        if isinstance(done[0], AppError):
            raise done[0]
        return done[0]

    def _comes_to_wait(self, pid: int, thread: threading.Thread) -> bool:
        deadline = time.monotonic() + LOCK_SECONDS
        while thread.is_alive():
            row = self.admin.execute(
                "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'", [pid]
            ).fetchone()
            if row is not None:
                return True
            assert time.monotonic() < deadline, "neither done nor waiting"
            time.sleep(0.002)
        return False

    def as_user(self, user_id: str, statement: str, *values: object) -> dict[str, Any]:
        """The one row of an RPC, called as a signed-in person. Raises AppError."""
        row = self.people.as_user(user_id, statement, *values)
        self.after_commit()
        return row

    def place_order(
        self, user_id: str, country: str, pieces: Mapping[str, int], code: str | None
    ) -> dict[str, Any]:
        """The order as place_order answers it. Raises AppError."""
        row = self.people.place_order(user_id, country, pieces, code)
        self.after_commit()
        return row

    def wait(self, minutes: float) -> None:
        """Time goes by: everything that happened is that much longer ago."""
        with self.admin.transaction():
            self.admin.execute("set local session_replication_role = replica")
            for table, columns in _TIMES.items():
                self.admin.execute(
                    sql.SQL("update {} set {}").format(
                        sql.Identifier(*table.split(".")),
                        sql.SQL(", ").join(
                            sql.SQL("{0} = {0} - make_interval(secs => {1})").format(
                                sql.Identifier(column), sql.Literal(minutes * 60)
                            )
                            for column in columns
                        ),
                    )
                )

    # paying

    def start(
        self, user_id: str, order_id: str, method: str, gateway: str, fate: Fate
    ) -> dict[str, Any] | None:
        """Starts a payment as the edge does; the attempt, None when the process died.

        Raises AppError for what `begin_payment` refuses.
        """
        try:
            return self._start(user_id, order_id, method, gateway, fate)
        except Died:
            self.crashes["start died"] += 1
            return None

    def _start(
        self, user_id: str, order_id: str, method: str, gateway: str, fate: Fate
    ) -> dict[str, Any]:
        begun: dict[str, Any] = self.call(
            "begin_payment",
            fate,
            actor_id=user_id,
            order_id=order_id,
            method=method,
            phone=PHONE,
            gateways=[gateway],
            excluded=[],
        )
        if not begun["is_new"]:
            return begun
        provider = registry.payment_provider(gateway, self.settings)
        try:
            started = provider.start(self._request(begun))
        except ProviderError as error:
            outcome = "unknown" if isinstance(error, Unverified) else error.outcome
            self.call(
                "record_payment_start_failed",
                fate,
                payment_id=begun["payment_id"],
                outcome=outcome,
                reason=error.code,
            )
            return begun
        fate.step()
        self.call(
            "record_payment_started",
            fate,
            payment_id=begun["payment_id"],
            gateway_transaction_id=started.gateway_transaction_id,
            action=started.action.as_json(),
            expires_at=started.expires_at,
            webhook_token=started.webhook_token,
            gateway_session=started.gateway_session,
        )
        return {**begun, "started": started} if self.open_page(started) else begun

    def _request(self, begun: Mapping[str, Any]) -> StartPayment:
        base = f"{self.letterbox.url}/api/v1/payments"
        return StartPayment(
            payment_id=begun["payment_id"],
            reference=begun["reference"],
            method=begun["method"],
            amount=begun["amount"],
            currency=begun["currency"],
            country=begun["country"],
            language=begun["language"],
            customer_email=begun["customer_email"],
            customer_name=begun["customer_name"],
            phone=begun["phone"],
            description=f"Mallgram {begun['order_number']}",
            notify_url=f"{base}/webhook/{begun['gateway']}/{begun['webhook_token']}",
            return_url=f"{base}/return",
            cancel_url=f"{base}/return",
        )

    def open_page(self, started: StartedPayment) -> bool:
        """The payer's browser posts the form, where the action is one; whether a page came."""
        action = started.action
        if action.kind != "form":
            return True
        assert action.url is not None
        page = self.sandbox.post_form(action.url, action.fields)
        return page.is_success and "We will be right back" not in page.text

    def decide(self, gateway: str, reference: str, outcome: str, **more: Any) -> dict[str, Any]:
        """What becomes of something at a gateway; its webhook, if there is one, is on its way."""
        decided = self.sandbox.decide(gateway, reference, outcome, **more)
        if decided["notified"]:
            heard = self.letterbox.wait_for(self._heard + 1, NOTICE_SECONDS)
            for one in heard[self._heard :]:
                self.notices.append(Notice(one.path.split("/")[5], one))
            self._heard = len(heard)
        return decided

    def deliver(self, notice: Notice, *, forged: bool = False) -> None:
        """A webhook reaches the edge, which takes what is genuine and refuses what is not."""
        heard = forge(notice) if forged else notice.heard
        answer = self.edge.open(
            heard.path,
            method=heard.method,
            data=heard.raw,
            headers={
                name: value
                for name, value in heard.headers.items()
                if name in ("content-type", "x-korapay-signature")
            },
        )
        self.after_commit()
        expected = 401 if forged else 200
        assert answer.status_code == expected, (notice.gateway, heard, answer.text)

    # the workers

    def task(self, fate: Fate) -> Task:
        """A task whose calls are kept and which may die at any of them."""
        witness = Witness(self.told, fate)
        return Task(
            database=Wire(self, fate, witness),
            settings=self.settings,
            request_id="properties",
            breaker=witness,
        )

    def claim(self, batch: int) -> list[dict[str, Any]]:
        """Due rows of the outbox, leased as the relay leases them."""
        claimed: list[dict[str, Any]] = self.session.call(
            "claim_outbox", batch=batch, lease_seconds=LEASE_SECONDS, queues=["payments"]
        )
        return claimed

    def lose_work(self, place: int) -> str:
        """One of the due jobs is dead, never done; its name."""
        row = self.admin.execute(
            "with due as ("
            "  select o.id, o.job from private.outbox as o"
            "  inner join private.jobs as j on o.job = j.job"
            "  where o.done_at is null and o.failed_at is null and o.available_at <= now()"
            "  and j.queue = 'payments' order by o.available_at offset %s limit 1"
            ") update private.outbox as o set failed_at = now() from due where o.id = due.id "
            "returning due.job",
            [place],
        ).fetchone()
        return "none" if row is None else str(row["job"])

    def renew_sandbox(self) -> None:
        """Gateways that know nothing of what was before."""
        self.sandbox.stop()
        shutil.rmtree(self.sandbox.directory / "state")
        self.sandbox.start()
        self.rail = Rail.of(self.sandbox)

    def run(self, claimed: Mapping[str, Any], fate: Fate) -> None:
        """One attempt at a row, as a worker makes it."""
        which = {"outbox_id": claimed["outbox_id"], "attempt": claimed["attempt"]}
        row = self.session.call("begin_job", **which)
        if row is None:
            return
        try:
            JOBS[row["job"]](self.task(fate), **row["args"])
        except Died:
            self.crashes[f"{row['job']} died"] += 1
            return
        except (ProviderError, DatabaseUnavailable) as error:
            self.session.call("record_job_failed", **which, error=type(error).__name__)
            return
        self.session.call("record_job_done", **which)

    def poll(self, payment_id: str | None, fate: Fate) -> None:
        """Somebody has a payment looked at now; without an id the sweep runs."""
        args = {} if payment_id is None else {"payment_id": payment_id}
        try:
            JOBS["reconcile_payments"](self.task(fate), **args)
        except (Died, DatabaseUnavailable):
            return

    def release_holds(self, fate: Fate) -> None:
        """Orders whose time is over are given up."""
        try:
            orders.release_holds(self.task(fate))
        except (Died, DatabaseUnavailable):
            return

    def close(self) -> None:
        """Ends the connections."""
        if self._session is not None:
            self._session.close()
        self.admin.close()
        self.locker.close()


@dataclass(frozen=True)
class Wire:
    """The database as one job has it."""

    shop: Shop
    fate: Fate
    witness: Witness

    def call(self, name: str, /, **args: Any) -> Any:
        answer = self.shop.call(name, self.fate, **args)
        if name == "begin_payment_check":
            self.witness.about = answer
        return answer

    def copy(self, table: str, _columns: Sequence[str], _rows: Iterable[Sequence[Any]], /) -> int:
        raise AssertionError(f"no job of money stages {table}")


def forge(notice: Notice) -> Heard:
    """The same webhook with one digit of what proves it changed."""
    heard = notice.heard
    headers = dict(heard.headers)
    path, raw = heard.path, heard.raw.decode()
    if "x-korapay-signature" in headers:
        headers["x-korapay-signature"] = _other_digit(headers["x-korapay-signature"])
    elif notice.gateway == "mtn":
        path = _other_digit(path)
    elif notice.gateway == "orange":
        token = json.loads(raw)["notif_token"]
        raw = raw.replace(token, _other_digit(token))
    else:
        raw = _other_digit(raw)  # the signature or checksum stands last
    return Heard(heard.method, path, headers, raw.encode())


def _other_digit(text: str) -> str:
    """The text with its last hexadecimal digit changed."""
    return _last_digit.sub(lambda found: "0" if found[0] != "0" else "1", text)


def ways(country: str) -> Sequence[tuple[str, str]]:
    """(method, gateway) of every route of a country."""
    return {
        "CM": (
            ("orange_money", "orange"),
            ("mtn_momo", "mtn"),
            ("kora_checkout", "kora"),
            ("orange_money", "kora"),
            ("mtn_momo", "kora"),
        ),
        "ZA": (
            ("card", "paygate"),
            ("card", "payfast"),
            ("eft", "paygate"),
            ("eft", "payfast"),
            ("kora_checkout", "kora"),
            ("eft", "kora"),
        ),
    }[country]
