"""The door to schema service: exact numbers, mapped refusals, quick answers without a server."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from edge_workers.db import Database, Session, error_of_sqlstate
from edge_workers.errors import (
    AlreadyExists,
    AppError,
    AuthorizationError,
    CardNumberRefused,
    DatabaseBusy,
    DatabaseTimeout,
    DatabaseUnavailable,
    InternalError,
    NotFoundError,
    ReferenceUnknown,
    StillReferenced,
    ValueMalformed,
    ValueMissing,
    ValueNotAllowed,
)

Admin = psycopg.Connection[dict[str, Any]]
NOBODY = "00000000-0000-4000-8000-000000000000"
ARGUMENTS = {
    "t": ("text", 'it\'s "quoted" %s'),
    "j": ("jsonb", {"a": [1, {"b": Decimal("12500.00")}], "t": "é"}),
    "l": ("text[]", ["a", "b,c", '"d"', "{}", ""]),
    "empty": ("text[]", []),
    "u": ("uuid", NOBODY),
    "n": ("numeric", Decimal("0.10")),
    "i": ("integer", 7),
    "b": ("boolean", True),
    "ts": ("timestamptz", datetime(2026, 11, 22, 19, 0, tzinfo=UTC)),
    "nothing": ("text", None),
    "items": ("jsonb", [{"quantity": 1}]),
}


@pytest.fixture
def database(stack_env: dict[str, str]) -> Iterator[Database]:
    pool = Database(stack_env["DATABASE_URL"], pool_size=4, application_name=f"test-{os.getpid()}")
    yield pool
    pool.close()


@pytest.fixture
def function(admin: Admin) -> Iterator[Callable[[str, str], str]]:
    """Makes a service function for one test: (arguments, body) to its name."""
    made: list[str] = []

    def make(arguments: str, body: str) -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        made.append(f"service.{name}({arguments})")
        admin.execute(
            f"create function {made[-1]} returns jsonb language plpgsql as $f$ {body} $f$"
        )
        admin.execute(f"grant execute on function {made[-1]} to mallgram_service")
        return name

    yield make
    for signature in made:
        admin.execute(f"drop function {signature}")


def backends(admin: Admin) -> list[int]:
    """Process ids of this test run's own connections."""
    rows = admin.execute(
        "select pid from pg_stat_activity where application_name = %s",
        [f"mallgram-test-{os.getpid()}"],
    ).fetchall()
    return [row["pid"] for row in rows]


def kill_backends(admin: Admin) -> int:
    """Ends this test run's own connections, as a restart of Postgres would; how many."""
    pids = backends(admin)
    for pid in pids:
        admin.execute("select pg_terminate_backend(%s)", [pid])
    deadline = time.monotonic() + 5
    while set(backends(admin)) & set(pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(pids)


def test_arguments_arrive_as_what_they_are_and_numbers_come_back_exact(
    database: Database, function: Callable[[str, str], str]
) -> None:
    pairs = ", ".join(f"'{arg}', {arg}" for arg in ARGUMENTS)
    name = function(
        ", ".join(f"{arg} {kind}" for arg, (kind, _) in ARGUMENTS.items()),
        f"begin return jsonb_build_object({pairs}); end",
    )
    answer = database.call(name, **{arg: value for arg, (_, value) in ARGUMENTS.items()})
    assert answer["t"] == 'it\'s "quoted" %s'
    assert answer["j"] == {"a": [1, {"b": Decimal("12500.00")}], "t": "é"}
    assert answer["l"] == ["a", "b,c", '"d"', "{}", ""]
    assert answer["empty"] == []
    assert answer["u"] == NOBODY
    assert str(answer["n"]) == "0.10"
    assert answer["i"] == 7
    assert answer["b"] is True
    assert datetime.fromisoformat(answer["ts"]) == ARGUMENTS["ts"][1]
    assert answer["nothing"] is None
    assert answer["items"] == [{"quantity": 1}]


def test_money_in_an_answer_keeps_its_cents(
    database: Database, function: Callable[[str, str], str]
) -> None:
    name = function("", "begin return jsonb_build_object('amount', 12500.00::numeric(12,2)); end")
    amount = database.call(name)["amount"]
    assert isinstance(amount, Decimal)
    assert str(amount) == "12500.00"


def test_a_refusal_carries_its_code_status_and_detail(database: Database) -> None:
    with pytest.raises(NotFoundError) as refused:
        database.call(
            "begin_payment",
            actor_id=NOBODY,
            order_id=NOBODY,
            method=None,
            phone=None,
            gateways=["kora"],
            excluded=[],
        )
    error = refused.value
    assert (error.code, error.http_status, error.detail) == ("order_not_found", 404, NOBODY)


def test_a_value_that_is_no_uuid_is_the_callers_mistake(database: Database) -> None:
    with pytest.raises(ValueMalformed):
        database.call("payment_return", payment_id="1; drop table orders")


def test_a_text_with_nul_is_refused_before_it_is_sent(database: Database) -> None:
    with pytest.raises(ValueMalformed):
        database.call("take_rate_limit", action="login", subject="a\x00b")


def test_a_function_that_is_not_there_is_our_mistake(database: Database) -> None:
    with pytest.raises(InternalError):
        database.call("no_such_function", a=1)


def test_the_service_may_do_nothing_but_call_functions(
    database: Database, function: Callable[[str, str], str]
) -> None:
    name = function("", "begin return to_jsonb(array(select id from public.users)); end")
    with pytest.raises(AuthorizationError):
        database.call(name)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("23505", AlreadyExists),
        ("23503", ReferenceUnknown),
        ("23514", ValueNotAllowed),
        ("23502", ValueMissing),
        ("22P02", ValueMalformed),
        ("22003", ValueMalformed),
        ("22001", ValueMalformed),
        ("22021", ValueMalformed),
        ("42501", AuthorizationError),
        ("25006", AuthorizationError),
        ("57014", DatabaseTimeout),
        ("55P03", DatabaseBusy),
        ("40P01", DatabaseBusy),
        ("53300", DatabaseUnavailable),
        ("57P03", DatabaseUnavailable),
        ("08006", DatabaseUnavailable),
        ("", DatabaseUnavailable),
        ("42883", InternalError),
        ("P0001", InternalError),
        ("XX000", InternalError),
    ],
)
def test_what_postgres_raises_itself_is_mapped_by_sqlstate(
    state: str, expected: type[AppError]
) -> None:
    error = error_of_sqlstate(state)
    assert type(error) is expected
    assert error.message is None


def test_a_constraint_names_its_field() -> None:
    error = error_of_sqlstate("23514", constraint="addresses_phone_is_e164")
    assert [(e.field, e.code) for e in error.errors] == [("phone", "value_not_allowed")]
    missing = error_of_sqlstate("23502", column="city")
    assert [(e.field, e.code) for e in missing.errors] == [("city", "value_missing")]
    assert isinstance(error_of_sqlstate("23503", is_still_referenced=True), StillReferenced)


@pytest.mark.parametrize("table", ["orders", "users", "addresses", "refunds"])
def test_a_card_number_is_refused_by_name_wherever_it_is_written(table: str) -> None:
    error = error_of_sqlstate("23514", constraint=f"{table}_holds_no_card_number")
    assert (type(error), error.http_status) == (CardNumberRefused, 400)


def test_a_timeout_in_postgres_is_a_503(
    database: Database, function: Callable[[str, str], str]
) -> None:
    name = function(
        "",
        "begin perform set_config('statement_timeout', '50ms', true); perform pg_sleep(0.01); "
        "raise query_canceled using message = 'canceling statement due to statement timeout'; end",
    )
    with pytest.raises(DatabaseTimeout) as refused:
        database.call(name)
    assert refused.value.http_status == 503


# --- Lost servers -----------------------------------------------------------------------------


def test_connections_that_died_while_idle_are_never_used(
    database: Database, admin: Admin, function: Callable[[str, str], str]
) -> None:
    # Not in the list of what may be repeated: only a connection found alive may carry it.
    name = function("", "begin return to_jsonb(1); end")
    threads = [threading.Thread(target=database.call, args=(name,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kill_backends(admin) >= 1
    for _ in range(8):
        assert database.call(name) == 1


def test_a_call_that_the_server_undid_is_made_again(
    database: Database, admin: Admin, function: Callable[[str, str], str]
) -> None:
    admin.execute("create table if not exists private.test_gate (id integer primary key)")
    admin.execute("grant insert, delete on private.test_gate to mallgram_service")
    name = function(
        "",
        "begin insert into private.test_gate values (1); perform pg_sleep(1); "
        "delete from private.test_gate; return to_jsonb(2); end",
    )
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(database.call(name)))
    try:
        caller.start()
        time.sleep(0.4)
        assert kill_backends(admin) >= 1
        caller.join(timeout=10)
        assert answers == [2]
    finally:
        caller.join(timeout=10)
        admin.execute("drop table private.test_gate")


def test_without_a_server_the_answer_is_503_within_seconds() -> None:
    database = Database("postgresql://mallgram_service:x@127.0.0.1:9/postgres")
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable) as refused:
            database.call("ping")
        assert time.monotonic() - began < 3.0
        assert (refused.value.http_status, refused.value.retry_after) == (503, 2)
    database.close()


def test_a_server_that_never_answers_is_a_503_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"postgresql://mallgram_service:x@127.0.0.1:{port}/postgres")
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            database.call("ping")
        assert time.monotonic() - began < 3.0
        database.close()


def test_the_server_is_found_again_when_it_is_back(stack_env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    target = psycopg.conninfo.conninfo_to_dict(stack_env["DATABASE_URL"])
    away = psycopg.conninfo.make_conninfo(
        stack_env["DATABASE_URL"], host="127.0.0.1", port=str(port)
    )
    database = Database(away)
    with pytest.raises(DatabaseUnavailable):
        database.call("ping")
    listener = socket.create_server(("127.0.0.1", port))
    stop = threading.Event()
    threading.Thread(
        target=forward, args=(listener, int(target["port"] or 5432), stop), daemon=True
    ).start()
    began = time.monotonic()
    while True:
        try:
            assert "now" in database.call("ping")
            break
        except DatabaseUnavailable:
            assert time.monotonic() - began < 10
    stop.set()
    listener.close()
    database.close()


def forward(listener: socket.socket, port: int, stop: threading.Event) -> None:
    """A wire to the real server: copies bytes both ways until told to stop."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        while not stop.is_set():
            try:
                data = source.recv(65536)
                if not data:
                    return
                sink.sendall(data)
            except OSError:
                return

    while not stop.is_set():
        try:
            inner, _ = listener.accept()
        except OSError:
            return
        outer = socket.create_connection(("127.0.0.1", port))
        for pair in ((inner, outer), (outer, inner)):
            threading.Thread(target=copy, args=pair, daemon=True).start()


def test_a_pool_is_opened_anew_after_a_fork(database: Database) -> None:
    database.call("ping")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, b"y" if "now" in database.call("ping") else b"n")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"y"
    os.close(reader)
    os.close(writer)
    assert "now" in database.call("ping")


# --- Session ----------------------------------------------------------------------------------


def test_a_session_hears_what_is_notified(stack_env: dict[str, str], admin: Admin) -> None:
    channel = f"test_{uuid.uuid4().hex[:8]}"
    with Session.open(stack_env["DATABASE_URL"]) as session:
        session.listen(channel)
        assert session.wait(0.05) is False
        admin.execute("select pg_notify(%s, '')", [channel])
        assert session.wait(5) is True
        admin.execute("select pg_notify(%s, 'x')", [channel])
        admin.execute("select pg_notify(%s, 'y')", [channel])
        assert "now" in session.call("ping")
        assert session.wait(5) is True
        assert session.wait(0.05) is False


def test_a_session_whose_server_is_gone_says_so(stack_env: dict[str, str], admin: Admin) -> None:
    with Session.open(stack_env["DATABASE_URL"], application_name=f"test-{os.getpid()}") as session:
        assert kill_backends(admin) == 1
        with pytest.raises(DatabaseUnavailable):
            session.call("ping")
        assert session.is_lost
        with pytest.raises(DatabaseUnavailable):
            session.wait(0.1)


def test_a_session_does_not_open_without_a_server() -> None:
    with pytest.raises(DatabaseUnavailable):
        Session.open("postgresql://mallgram_service:x@127.0.0.1:9/postgres")


@pytest.fixture
def run_id(admin: Admin) -> Iterator[str]:
    """A sync of Alibaba that nobody works on."""
    row = admin.execute(
        "insert into private.sync_runs (platform, channel) values ('alibaba', 'wholesale') "
        "returning id"
    ).fetchone()
    assert row is not None
    yield str(row["id"])
    admin.execute("delete from private.sync_runs where id = %s", [row["id"]])


STAGED = ("run_id", "external_id", "title", "status", "price", "currency", "image_urls", "variants")


def staged(run_id: str, name: str, price: Any = Decimal("1.10")) -> tuple[Any, ...]:
    variants = ({"external_id": name, "price": Decimal("1.10"), "text": 'tab\t"quoted"'},)
    return (run_id, name, "Lampe à l'é\\té", "selling", price, "USD", ["a,b", "c"], variants)


def test_rows_are_staged_as_they_are(stack_env: dict[str, str], admin: Admin, run_id: str) -> None:
    with Session.open(stack_env["DATABASE_URL"]) as session:
        count = session.copy(
            "staged_products", STAGED, [staged(run_id, "one"), staged(run_id, "two", None)]
        )

    rows = admin.execute(
        "select external_id, title, price, image_urls, variants -> 0 ->> 'text' as text "
        "from private.staged_products where run_id = %s order by id",
        [run_id],
    ).fetchall()
    assert count == 2
    assert [tuple(row.values()) for row in rows] == [
        ("one", "Lampe à l'é\\té", Decimal("1.10"), ["a,b", "c"], 'tab\t"quoted"'),
        ("two", "Lampe à l'é\\té", None, ["a,b", "c"], 'tab\t"quoted"'),
    ]


def test_a_row_that_does_not_fit_stages_none(
    stack_env: dict[str, str], admin: Admin, run_id: str
) -> None:
    with Session.open(stack_env["DATABASE_URL"]) as session:
        with pytest.raises(ValueMalformed):
            session.copy(
                "staged_products", STAGED, [staged(run_id, "one"), staged(run_id, "two", "dear")]
            )
        assert session.call("ping") is not None

    row = admin.execute(
        "select count(*) from private.staged_products where run_id = %s", [run_id]
    ).fetchone()
    assert row == {"count": 0}


@pytest.mark.parametrize("half", ["\ud800", "\x00"])
def test_text_that_the_database_does_not_know_is_refused_before_it_is_sent(
    stack_env: dict[str, str], run_id: str, half: str
) -> None:
    columns = ("run_id", "external_id", "title", "status", "currency", "seller_name", "variants")
    with Session.open(stack_env["DATABASE_URL"]) as session:
        for name, variants in ((half, ()), ("Shop", ({"external_id": half},))):
            with pytest.raises(ValueMalformed):
                session.copy(
                    "staged_products",
                    columns,
                    [(run_id, "one", "Lamp", "selling", "USD", name, variants)],
                )
        with pytest.raises(ValueMalformed):
            session.call("record_sync_details", run_id=run_id, failures={half: {}})
        assert session.call("ping") is not None


def test_nothing_else_is_written_to(stack_env: dict[str, str]) -> None:
    with (
        Session.open(stack_env["DATABASE_URL"]) as session,
        pytest.raises(AuthorizationError),
    ):
        session.copy("outbox", ["job"], [["sync_products"]])
