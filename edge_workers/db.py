"""The one door to schema `service`: `call(name, **args)` runs one function in one transaction.

Every function returns one jsonb value; numbers with a fraction arrive as Decimal. What the
database refuses arrives as an AppError with the catalogue's code and status; what Postgres itself
raises is mapped by SQLSTATE and constraint name. Nobody else writes SQL.

`Database` is a pool for threads (the edge). `Session` is a single connection without threads
(relay, workers); it can LISTEN.
"""

import functools
import os
import select
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self

import psycopg
from psycopg import sql
from psycopg.abc import RV, PQGen
from psycopg.types.json import Jsonb, set_json_loads
from psycopg_pool import ConnectionPool

from edge_workers import exact_json
from edge_workers.errors import (
    AlreadyExists,
    AppError,
    AuthorizationError,
    CardNumberRefused,
    DatabaseBusy,
    DatabaseTimeout,
    DatabaseUnavailable,
    FieldError,
    InternalError,
    ReferenceUnknown,
    StillReferenced,
    ValueMalformed,
    ValueMissing,
    ValueNotAllowed,
    error_for,
)
from edge_workers.log import get_logger

log = get_logger(__name__)

POOL_TIMEOUT_SECONDS: Final = 2.0
"""How long a thread waits for a connection; beyond it the answer is 503."""
_BEFORE_REPEATING_SECONDS: Final = 0.1
"""A server that ends one connection ends the others within moments."""
CONNECT_TIMEOUT_SECONDS: Final = 3
ANSWER_TIMEOUT_SECONDS: Final = 8.0
"""How long the edge waits for one function; frozen servers send no error of their own."""
_LONG_ANSWERS: Final[Mapping[str, float]] = {"import_statement": 14.0}
"""Seconds for those that have much to do; the role's own limit is 15 s."""

# Functions whose second run finds the first one's effect (a unique key, a merge, a set state) or
# only reads: safe to run again when the connection broke before the answer came.
REPEATABLE: Final = frozenset(
    {
        "apply_payment_result",
        "begin_email",
        "begin_payment",
        "begin_payment_check",
        "begin_refund",
        "begin_webhook_event",
        "catalogue_version",
        "count_catalogue",
        "error_catalogue",
        "import_statement",
        "payment_return",
        "payment_status",
        "ping",
        "record_email_sent",
        "record_job_done",
        "record_payment_start_failed",
        "record_payment_started",
        "record_webhook_events",
        "record_webhook_handled",
        "take_rate_limit",
        "webhook_secrets",
    }
)

_FIELD_OF_CONSTRAINT: Final[Mapping[str, str]] = {
    "addresses_phone_is_e164": "phone",
    "users_phone_is_e164": "phone",
    "users_full_name_is_one_line": "full_name",
    "users_language_is_known": "language",
    "idempotency_keys_key_is_printable": "idempotency_key",
}
"""Constraints of what a client may write, by the field they speak of."""
_CARD_NUMBER_RULE: Final = "_holds_no_card_number"
"""How the constraints end that keep card numbers out of every text that a client writes."""


class Caller(Protocol):
    """What a job or a route needs of the database."""

    def call(self, name: str, /, **args: Any) -> Any:
        """Runs `service.<name>` with named arguments; its jsonb value."""


class Stager(Caller, Protocol):
    """What the sync needs besides: a way to put down many rows at once."""

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> int:
        """Writes the rows to `private.<table>` by COPY, all or none; how many."""


_UNSENDABLE: Final = (UnicodeEncodeError, TypeError)
"""Half a character, or a value without a JSON form: refused before it is sent."""


class _NoAnswer(psycopg.OperationalError):
    """The server took longer than we wait; asking again at once would only wait again."""


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up on a server which stopped answering."""

    answer_timeout: float = ANSWER_TIMEOUT_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        deadline = time.monotonic() + self.answer_timeout
        try:
            return super().wait(gen, interval, self.answer_timeout)
        except psycopg.OperationalError as error:
            if time.monotonic() < deadline:
                raise
            self.pgconn.finish()
            raise _NoAnswer(f"no answer within {self.answer_timeout:g} s") from error


def _connect_arguments(application_name: str) -> dict[str, Any]:
    return {
        "autocommit": True,  # one statement is one transaction, in one round trip
        "prepare_threshold": None,  # works behind a transaction pooler
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }


def _configure(connection: psycopg.Connection[Any]) -> None:
    set_json_loads(exact_json.loads, connection)


def _bind(value: Any) -> Any:
    if isinstance(value, dict):
        return Jsonb(value, exact_json.dumps)
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return Jsonb(value, exact_json.dumps)
    if isinstance(value, tuple):
        return list(value)
    return value


@functools.lru_cache(maxsize=256)
def _statement(name: str, args: tuple[str, ...]) -> bytes:
    return (
        sql.SQL("select service.{}({})")
        .format(
            sql.Identifier(name),
            sql.SQL(", ").join(
                sql.SQL("{} => {}").format(sql.Identifier(arg), sql.Placeholder(arg))
                for arg in args
            ),
        )
        .as_bytes()
    )


def _run(connection: psycopg.Connection[Any], name: str, args: Mapping[str, Any]) -> Any:
    row = connection.execute(
        _statement(name, tuple(args)), {arg: _bind(value) for arg, value in args.items()}
    ).fetchone()
    return row[0] if row else None


def _copy(
    connection: psycopg.Connection[Any],
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> int:
    statement = sql.SQL("copy private.{} ({}) from stdin").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as stream:
            for row in rows:
                stream.write_row([_bind_cell(value) for value in row])
        return cursor.rowcount


def _bind_cell(value: Any) -> Any:
    """A cell of COPY: a tuple is jsonb as a dict is, a list an array."""
    if isinstance(value, tuple | dict):
        return Jsonb(value, exact_json.dumps)
    return value


def _is_alive(connection: psycopg.Connection[Any]) -> bool:
    """Whether an idle connection still has a server behind it, without a round trip.

    An idle server has nothing to say: readable means a goodbye, a closed socket, or chatter that
    is read away here.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    try:
        for _ in range(8):
            if not poll.poll(0):
                return True
            connection.pgconn.consume_input()
    except psycopg.Error:
        return False
    return False


def _is_lost(error: psycopg.Error, connection: psycopg.Connection[Any]) -> bool:
    return connection.broken or connection.closed or (error.sqlstate or "").startswith("57P0")


def _was_rolled_back(error: psycopg.Error) -> bool:
    """A server that says goodbye instead of an answer has undone the statement."""
    return (error.sqlstate or "") in {"57P01", "57P02", "57P03"}


def app_error(error: psycopg.Error) -> AppError:
    """The AppError of what Postgres raised: our refusals by hint, its own by SQLSTATE."""
    state = error.sqlstate or ""
    diag = error.diag
    if not state and isinstance(error, psycopg.DataError):
        return ValueMalformed(detail=type(error).__name__)  # refused before it was sent
    if not state and isinstance(error, psycopg.ProgrammingError | psycopg.NotSupportedError):
        return InternalError(detail=type(error).__name__)
    if state.startswith("PT") and state[2:].isdigit() and diag.message_hint:
        return error_for(diag.message_hint, int(state[2:]), diag.message_detail or None)
    return error_of_sqlstate(
        state,
        constraint=diag.constraint_name,
        column=diag.column_name,
        is_still_referenced="still referenced" in (diag.message_detail or ""),
    )


def error_of_sqlstate(
    state: str,
    *,
    constraint: str | None = None,
    column: str | None = None,
    is_still_referenced: bool = False,
) -> AppError:
    """The AppError of a SQLSTATE that Postgres or PostgREST raised by itself.

    Its own texts never leave: they may name rows that the caller must not know of.
    """
    if state == "23505":
        return AlreadyExists(detail=constraint)
    if state == "23503":
        return StillReferenced() if is_still_referenced else ReferenceUnknown(detail=constraint)
    if state == "23514" and (constraint or "").endswith(_CARD_NUMBER_RULE):
        return CardNumberRefused(detail=constraint)
    if state == "23514":
        field = _FIELD_OF_CONSTRAINT.get(constraint or "", constraint or "")
        return ValueNotAllowed(detail=constraint, errors=[FieldError(field, ValueNotAllowed.code)])
    if state == "23502":
        return ValueMissing(errors=[FieldError(column or "", ValueMissing.code)])
    if state.startswith("22"):
        return ValueMalformed(detail=state)
    if state in {"42501", "25006"}:
        return AuthorizationError()
    if state in {"57014", "25P03"}:
        return DatabaseTimeout(retry_after=1)
    if state in {"55P03", "40001", "40P01"}:
        return DatabaseBusy(retry_after=1)
    if state == "" or state.startswith(("08", "53", "57P", "58")):
        return DatabaseUnavailable(retry_after=2)
    return InternalError(detail=state)


class Database:
    """A pool of connections as mallgram_service, opened on first use in each process.

    Thread-safe, and safe to build before a fork.
    """

    def __init__(self, url: str, *, pool_size: int = 8, application_name: str = "edge") -> None:
        self._url = url
        self._pool_size = pool_size
        self._application_name = f"mallgram-{application_name}"
        self._lock = threading.Lock()
        self._pool: ConnectionPool[_Connection] | None = None
        self._pid = 0

    def call(self, name: str, /, **args: Any) -> Any:
        """Runs `service.<name>(arg => value, …)` in one transaction; its jsonb value.

        dict is sent as jsonb, a list of str as text[]. Raises AppError: the refusal's code and
        status, or DatabaseUnavailable (503) within seconds when the server is away. When the
        connection breaks before the answer came, the call is repeated once if that is safe.
        """
        try:
            return self._attempt(name, args)
        except _Lost as lost:
            log.warning("database.lost", function=name, error=str(lost))
            if not (lost.was_rolled_back or name in REPEATABLE):
                raise DatabaseUnavailable(retry_after=2) from lost
        time.sleep(_BEFORE_REPEATING_SECONDS)
        try:
            return self._attempt(name, args)
        except _Lost as lost:
            raise DatabaseUnavailable(retry_after=2) from lost

    def close(self) -> None:
        """Closes the pool; the next call opens it again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=2)

    def _attempt(self, name: str, args: Mapping[str, Any]) -> Any:
        pool = self._open_pool()
        connection = _take_alive(pool)
        connection.answer_timeout = _LONG_ANSWERS.get(name, ANSWER_TIMEOUT_SECONDS)
        try:
            return _run(connection, name, args)
        except psycopg.Error as error:
            if isinstance(error, _NoAnswer):
                raise DatabaseTimeout(retry_after=2) from error
            if _is_lost(error, connection):
                raise _Lost(error) from error
            raise app_error(error) from error
        finally:
            pool.putconn(connection)

    def _open_pool(self) -> ConnectionPool[_Connection]:
        with self._lock:
            if self._pool is None or self._pid != os.getpid():
                self._pool = ConnectionPool(
                    self._url,
                    connection_class=_Connection,
                    kwargs=_connect_arguments(self._application_name),
                    min_size=1,
                    max_size=self._pool_size,
                    configure=_configure,
                    timeout=POOL_TIMEOUT_SECONDS,
                    reconnect_timeout=1.0,  # give up early: the next caller tries anew
                    max_idle=300,
                    name=self._application_name,
                    open=False,
                )
                self._pool.open()
                self._pid = os.getpid()
            return self._pool


class Session:
    """One connection as mallgram_service, for a process that does one thing at a time."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    @classmethod
    def open(
        cls,
        url: str,
        *,
        application_name: str = "worker",
        answer_timeout_seconds: float = 16.0,
    ) -> Self:
        """Connects. `answer_timeout_seconds` stands above the role's own statement timeout (15 s).

        Raises DatabaseUnavailable when the server is away.
        """
        try:
            connection = _Connection.connect(
                url, **_connect_arguments(f"mallgram-{application_name}")
            )
        except psycopg.Error as error:
            raise DatabaseUnavailable(retry_after=2) from error
        connection.answer_timeout = answer_timeout_seconds
        _configure(connection)
        return cls(connection)

    def call(self, name: str, /, **args: Any) -> Any:
        """As `Database.call`, but never repeated: raises DatabaseUnavailable on a lost server."""
        try:
            return _run(self._connection, name, args)
        except _UNSENDABLE as error:
            raise ValueMalformed(detail=type(error).__name__) from error
        except psycopg.Error as error:
            if _is_lost(error, self._connection):
                raise DatabaseUnavailable(retry_after=2) from error
            raise app_error(error) from error

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> int:
        """Writes rows to `private.<table>` by COPY in one transaction: all or none; how many.

        A dict or tuple is sent as jsonb, a list as an array. The one table this role may write to
        is `staged_products`. Raises AppError as `call` does.
        """
        try:
            return _copy(self._connection, table, columns, rows)
        except _UNSENDABLE as error:
            raise ValueMalformed(detail=type(error).__name__) from error
        except psycopg.Error as error:
            if _is_lost(error, self._connection):
                raise DatabaseUnavailable(retry_after=2) from error
            raise app_error(error) from error

    def listen(self, channel: str) -> None:
        """Subscribes to a channel; needs a connection without a transaction pooler in between."""
        try:
            self._connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
        except psycopg.Error as error:
            raise DatabaseUnavailable(retry_after=2) from error

    def wait(self, timeout_seconds: float) -> bool:
        """Whether a notification came within the time; takes all that are there."""
        try:
            return bool(list(self._connection.notifies(timeout=timeout_seconds, stop_after=1)))
        except psycopg.Error as error:
            raise DatabaseUnavailable(retry_after=2) from error

    @property
    def is_lost(self) -> bool:
        """Whether the connection is gone for good; open a new Session."""
        return self._connection.closed

    def close(self) -> None:
        """Closes the connection; more than once does no harm."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Lost(Exception):
    """The connection broke; whether the statement took effect is open unless rolled back."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(type(error).__name__)
        self.was_rolled_back = _was_rolled_back(error)


def _take_alive(pool: ConnectionPool[_Connection]) -> _Connection:
    """A connection whose server is still there. Raises DatabaseUnavailable after the timeout."""
    while True:
        try:
            connection = pool.getconn()
        except psycopg.Error as error:  # too late, or the pool is being closed
            raise DatabaseUnavailable(retry_after=2) from error
        if _is_alive(connection):
            return connection
        connection.close()
        pool.putconn(connection)
