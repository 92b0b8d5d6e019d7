"""The Postgres cluster of a stack: made as strict as hosted Supabase, and its databases."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.local.console import Failure
from scripts.local.keys import Keys
from scripts.local.settings import POSTGRES_BIN, POSTGRES_HOME, ROOT, Stack

HERE = ROOT / "scripts" / "local"
CONFIGURATION = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
work_mem = 8MB
maintenance_work_mem = 128MB
wal_level = logical
max_wal_size = 2GB
checkpoint_timeout = 15min
random_page_cost = 1.1
effective_io_concurrency = 100
shared_preload_libraries = 'pg_stat_statements'
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
log_lock_waits = on
# DETAIL and HINT quote input.
log_error_verbosity = terse
lc_messages = 'C.UTF-8'
"""
# Passwords travel in clear inside URLs of one machine; over TCP they are checked all the same.
CLIENT_AUTHENTICATION = "host all all 127.0.0.1/32 scram-sha-256\n"


def url(stack: Stack, role: str, password: str, database: str = "postgres") -> str:
    """Connection URL of a login role on this stack's Postgres."""
    return f"postgresql://{role}:{password}@127.0.0.1:{stack.ports.postgres}/{database}"


def admin_url(stack: Stack, keys: Keys, database: str = "postgres") -> str:
    """URL of the superuser."""
    return url(stack, "supabase_admin", keys.supabase_admin, database)


def migration_url(stack: Stack, keys: Keys, database: str = "postgres") -> str:
    """URL of role postgres, which runs migrations and is no superuser."""
    return url(stack, "postgres", keys.postgres, database)


def as_postgres(command: Sequence[str]) -> list[str]:
    """The command as the system user postgres when root calls, else unchanged."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


def run_tool(
    command: Sequence[str], what: str, env: Mapping[str, str] | None = None, text: str | None = None
) -> str:
    """Run a program to its end and return its standard output.

    Raises Failure with the last lines of its errors when it exits non-zero.
    """
    done = subprocess.run(
        command,
        env=dict(env) if env is not None else None,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
        raise Failure(f"{what} failed: " + "\n    ".join(lines))
    return done.stdout


def psql(
    address: str,
    what: str,
    *,
    file: Path | None = None,
    command: str | None = None,
    variables: Mapping[str, str] | None = None,
    single: bool = True,
) -> str:
    """Run a file or a command with psql, stopping at the first error; answers bare rows."""
    arguments = [str(POSTGRES_BIN / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    if single:
        arguments.append("--single-transaction")
    settings = "".join(
        f"\\set {name} '{value}'\n" for name, value in sorted((variables or {}).items())
    )
    source = file.read_text(encoding="utf-8") if file is not None else (command or "")
    environment = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
    return run_tool(
        [*arguments, "-d", address, "-f", "-"], what, env=environment, text=settings + source
    )


# The superuser's password comes by standard input and never by a command line.
INITDB = """\
umask 077
cat > "$0.password"
"$1" -D "$0" -U supabase_admin --pwfile="$0.password" --auth=scram-sha-256 \\
    --encoding=UTF8 --locale=C.UTF-8 --no-instructions
code=$?
rm -f "$0.password"
exit $code
"""


def make_cluster(stack: Stack, keys: Keys) -> None:
    """Run initdb for a stack that has no data yet."""
    data = stack.postgres_data
    if os.geteuid() == 0:
        for directory in (POSTGRES_HOME, data):
            directory.mkdir(parents=True, exist_ok=True)
            shutil.chown(directory, "postgres", "postgres")
        link = stack.state / "postgres"
        if not link.is_symlink():
            link.symlink_to(data)
    else:
        data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    run_tool(
        as_postgres(["/bin/sh", "-c", INITDB, str(data), str(POSTGRES_BIN / "initdb")]),
        "initdb",
        text=keys.supabase_admin,
    )


def write_configuration(stack: Stack) -> None:
    """Postgres' own configuration files, the same at every start."""
    for name, text in (
        ("postgresql.conf", CONFIGURATION.format(port=stack.ports.postgres)),
        ("pg_hba.conf", CLIENT_AUTHENTICATION),
    ):
        path = stack.postgres_data / name
        path.write_text(text, encoding="utf-8")
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")


def drop_cluster(stack: Stack) -> None:
    """Forget the data."""
    link = stack.state / "postgres"
    if link.is_symlink():
        link.unlink()
    shutil.rmtree(stack.postgres_data, ignore_errors=True)


def has_data(stack: Stack) -> bool:
    """Whether initdb has run to its end."""
    return (stack.postgres_data / "global" / "pg_control").exists()


def bootstrap(stack: Stack, keys: Keys) -> None:
    """Make the cluster's roles and the database as hosted Supabase has them."""
    psql(
        admin_url(stack, keys),
        "bootstrap_roles.sql",
        file=HERE / "bootstrap_roles.sql",
        variables={
            "postgres": keys.postgres,
            "authenticator": keys.authenticator,
            "supabase_auth_admin": keys.supabase_auth_admin,
        },
    )
    bootstrap_database(stack, keys, "postgres")


def bootstrap_database(stack: Stack, keys: Keys, database: str) -> None:
    """Make one database of the cluster ready for the migrations."""
    psql(
        admin_url(stack, keys, database),
        "bootstrap_database.sql",
        file=HERE / "bootstrap_database.sql",
    )


def auth_schema_file(stack: Stack) -> Path:
    """Where the auth server's own tables are kept as SQL, for scratch databases."""
    return stack.state / "auth_schema.sql"


def save_auth_schema(stack: Stack, keys: Keys) -> None:
    """Keep the tables that the auth and storage server made, before any migration ran."""
    dumped = run_tool(
        [
            str(POSTGRES_BIN / "pg_dump"),
            "--schema-only",
            "--schema=auth",
            "--schema=storage",
            "-d",
            admin_url(stack, keys),
        ],
        "pg_dump of the auth schema",
    )
    # The bootstrap has made both schemas and the functions of auth already.
    dumped = dumped.replace("CREATE SCHEMA ", "CREATE SCHEMA IF NOT EXISTS ")
    dumped = dumped.replace("CREATE FUNCTION auth.", "CREATE OR REPLACE FUNCTION auth.")
    auth_schema_file(stack).write_text(dumped, encoding="utf-8")


def make_scratch(stack: Stack, keys: Keys, database: str) -> None:
    """An empty database as hosted Supabase has it before the first migration."""
    drop_scratch(stack, keys, database)
    address = admin_url(stack, keys)
    psql(
        address,
        "create database",
        command=f"create database {database} template template0;",
        single=False,
    )
    bootstrap_database(stack, keys, database)
    psql(
        admin_url(stack, keys, database),
        "the auth schema of a scratch database",
        file=auth_schema_file(stack),
    )


def drop_scratch(stack: Stack, keys: Keys, database: str) -> None:
    """Drop a scratch database, whoever is connected to it."""
    psql(
        admin_url(stack, keys),
        "drop database",
        command=f"drop database if exists {database} with (force);",
        single=False,
    )
