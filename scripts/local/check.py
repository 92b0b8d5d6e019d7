"""./scripts/check: everything that can be checked without running the shop."""

import argparse
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from edge_workers.config import Settings
from scripts.local import db, migrations, postgres
from scripts.local.console import Failure, complain, say
from scripts.local.settings import (
    PORT_SETTINGS,
    POSTGRES_BIN,
    ROOT,
    THROW_AWAY_PORTS,
    read_env_file,
)
from scripts.local.stack import PYTHON, STACK_SETTINGS, RunningStack, program_path

SCHEMAS = ("public", "service", "private")
# Directories that are no part of the project; git knows them from .gitignore.
GENERATED = {".git", ".local", ".venv", "node_modules", "__pycache__", ".env"}
SQL_PATHS = ("sql", "supabase/seed.sql")
# Written as patterns so that this file does not match itself.
FORBIDDEN_TEXT = {
    "a package registry's host name": re.compile(
        r"npmj[s]\.(?:org|com)|pypi[.]org|pythonhoste[d]\.|yarnpk[g]\.com|deb\.debia[n]\.org"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a signed token": re.compile(r"\beyJ[\w-]{18,}\.eyJ[\w-]{18,}\.[\w-]{20,}"),
    "a gateway's secret key": re.compile(r"\bsk_(?:live|test)_[A-Za-z0-9]{20,}"),
    "a cloud access key": re.compile(r"\bAKI[A][0-9A-Z]{16}\b"),
}
# R15: PostgREST 12 runs an RPC that raises this SQLSTATE again and again, for ever.
RETRIED = re.compile(
    r"40001|serialization_failure|set\s+(?:local\s+)?transaction|transaction_isolation"
    r"|repeatable\s+read",
    re.IGNORECASE,
)
ADDED_BY_THE_DATABASE = re.compile(
    r"now\(|current_timestamp|clock_timestamp|gen_random|uuid_generate|nextval", re.IGNORECASE
)


@dataclass(frozen=True)
class Check:
    """One rule and what proves it; `run` raises Failure when it does not hold."""

    title: str
    run: Callable[[], None]


def tool(*command: str) -> None:
    """Run one of the pinned tools."""
    run_python("-m", *command)


def run_python(*arguments: str) -> None:
    """Run the clone's Python; what it prints is the failure's text."""
    done = subprocess.run(
        [str(PYTHON), *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": program_path(), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failure((done.stdout + done.stderr).strip())


def import_direction() -> None:
    """Imports go one way, as the contracts in pyproject.toml say."""
    runner = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    run_python("-c", runner)


def committed_files() -> list[Path]:
    """Files that are in git or would be added to it; without git, all but what is generated."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        paths = [
            path
            for path in ROOT.rglob("*")
            if not GENERATED.intersection(path.parts[len(ROOT.parts) :])
        ]
    else:
        paths = [ROOT / name for name in listed.split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def no_forbidden_text() -> None:
    """No committed file holds a registry's host name or a secret."""
    found: list[str] = []
    for path in committed_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for what, pattern in FORBIDDEN_TEXT.items():
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(ROOT)}:{line} holds {what}")
    if found:
        raise Failure("\n".join(found))


def lock_has_the_pins() -> None:
    """Every top-level dependency is pinned exactly and stands so in requirements.lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted: list[str] = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9._-]+==\S+)", lock, re.MULTILINE))
    wrong = [pin for pin in wanted if re.sub(r"\[.*\]", "", pin).lower() not in locked]
    if wrong:
        raise Failure(f"run scripts/local/lock, the lock file misses {', '.join(wrong)}")


def settings_are_listed() -> None:
    """`.env.example` lists every setting, and nothing that no program reads."""
    example = ROOT / ".env.example"
    listed = set(read_env_file(example))
    ports = [name for name, _ in (*PORT_SETTINGS.values(), *THROW_AWAY_PORTS.values())]
    known = {name.upper() for name in Settings.model_fields} | {*ports, *STACK_SETTINGS}
    wrong = [f"{name} is missing" for name in sorted(known - listed)]
    wrong += [f"{name} is read by nothing" for name in sorted(listed - known)]
    if wrong:
        raise Failure(f".env.example: {', '.join(wrong)}")


def schema_dump(address: str) -> list[str]:
    """pg_dump of the project's schemas, without the lines that differ from run to run."""
    text = postgres.run_tool(
        [
            str(POSTGRES_BIN / "pg_dump"),
            "--schema-only",
            *(f"--schema={schema}" for schema in SCHEMAS),
            "-d",
            address,
        ],
        "pg_dump",
    )
    return [line for line in text.splitlines() if not re.match(r"\\(un)?restrict ", line)]


def own_rows(address: str) -> dict[str, list[str]]:
    """Rows that the schema itself brings, by table, without ids and times the database made."""
    rows: dict[str, list[str]] = {}
    with psycopg.connect(address) as connection:
        tables = connection.execute(
            """
            select c.oid::regclass::text, n.nspname, c.relname,
                coalesce(
                    array_agg(a.attname) filter (where pg_get_expr(d.adbin, d.adrelid) ~* %s), '{}'
                )
            from pg_class as c
            inner join pg_namespace as n on n.oid = c.relnamespace
            inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
            left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
            where n.nspname = any(%s) and c.relkind in ('r', 'p')
            group by c.oid, n.nspname, c.relname
            """,
            [ADDED_BY_THE_DATABASE.pattern, list(SCHEMAS)],
        ).fetchall()
        for title, schema, table, made in tables:
            query = sql.SQL("select (to_jsonb(t) - %s::text[])::text from {} as t order by 1")
            found = connection.execute(query.format(sql.Identifier(schema, table)), [made])
            rows[title] = [str(row[0]) for row in found.fetchall()]
    return rows


def first_difference(left: Sequence[str], right: Sequence[str]) -> str:
    """The first line in which two texts differ, from both."""
    for one, other in zip(left, right, strict=False):
        if one != other:
            return f"migrations: {one.strip()}\nsql/schema: {other.strip()}"
    return f"migrations give {len(left)} lines, sql/schema {len(right)}"


def same_schema(migrated: str, declared: str) -> None:
    """Both databases have the same objects, grants, comments and policies."""
    left, right = schema_dump(migrated), schema_dump(declared)
    if left != right:
        raise Failure(f"pg_dump differs:\n{first_difference(left, right)}")


def same_rows(migrated: str, declared: str) -> None:
    """Both databases have the same rows of the schema's own."""
    left, right = own_rows(migrated), own_rows(declared)
    for table in sorted(left.keys() | right.keys()):
        if left.get(table) != right.get(table):
            difference = first_difference(left.get(table, []), right.get(table, []))
            raise Failure(f"rows of {table} differ:\n{difference}")


def no_difference(migrated: str, declared: str) -> None:
    """The CLI drafts no change in either direction."""
    for source, target in ((migrated, declared), (declared, migrated)):
        draft = db.difference(source, target)
        if draft:
            raise Failure(f"supabase db diff is not empty:\n{draft[:2000]}")


def nothing_is_retried(address: str) -> None:
    """R15: nothing reachable through PostgREST raises 40001 or changes the isolation level."""
    with psycopg.connect(address) as connection:
        functions = connection.execute(
            """
            select p.oid::regprocedure::text,
                concat_ws(' ', pg_get_functiondef(p.oid), p.proconfig::text)
            from pg_proc as p
            where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
                and p.prokind in ('f', 'p')
            """
        ).fetchall()
    if not functions:
        raise Failure("no function was found in public or private")
    guilty = [name for name, text in functions if RETRIED.search(without_comments(text))]
    if guilty:
        raise Failure(f"these could be run again and again by PostgREST: {', '.join(guilty)}")


def without_comments(text: str) -> str:
    """SQL without its line comments."""
    return re.sub(r"--[^\n]*", "", text)


def no_definer_in_public(address: str) -> None:
    """No function in public runs with its owner's rights."""
    with psycopg.connect(address) as connection:
        found = connection.execute(
            """
            select p.oid::regprocedure::text from pg_proc as p
            where p.pronamespace = 'public'::regnamespace and p.prosecdef
            """
        ).fetchall()
    if found:
        raise Failure(f"security definer in public: {', '.join(str(row[0]) for row in found)}")


def types_are_current(address: str) -> None:
    """supabase/database.types.ts is what the CLI makes of the migrations."""
    if not db.TYPES.exists() or db.TYPES.read_text(encoding="utf-8") != db.generate_types(address):
        raise Failure("run ./scripts/db types")


def all_applied(address: str) -> None:
    """The CLI's own list of migrations shows each file applied."""
    listed = migrations.supabase(
        "migration", "list", f"--remote={address}", what="supabase migration list"
    )
    for name in migrations.hashes():
        if listed.count(name.split("_")[0]) < 2:
            raise Failure(f"supabase migration list does not show {name} as applied:\n{listed}")


def cli(what: str, *arguments: str) -> None:
    """Run the Supabase CLI; a non-zero exit is a failure."""
    migrations.supabase(*arguments, what=what)


def static_checks() -> list[Check]:
    """Checks of the files alone."""
    paths = [path for path in SQL_PATHS if (ROOT / path).exists()]
    return [
        Check("format of Python", partial(tool, "ruff", "format", "--check", ".")),
        Check("lint of Python", partial(tool, "ruff", "check", ".")),
        Check("types of Python", partial(tool, "mypy")),
        Check("import direction", import_direction),
        Check("lint of SQL", partial(tool, "sqlfluff", "lint", "--processes", "2", *paths)),
        Check("lock file has the pins", lock_has_the_pins),
        Check("settings are listed", settings_are_listed),
        Check("no registry names, no secrets", no_forbidden_text),
        Check("migrations are built from sql/schema", partial(db.build, check=True)),
    ]


def database_checks(migrated: str, declared: str) -> list[Check]:
    """Checks against two scratch databases: one from the migrations, one from sql/schema."""
    remote = f"--remote={migrated}"
    lint = ("db", "lint", remote, "--schema", ",".join(SCHEMAS), "--fail-on", "warning")
    return [
        Check("supabase migration list", partial(all_applied, migrated)),
        Check("supabase db lint", partial(cli, "supabase db lint", *lint)),
        Check(
            "supabase db advisors",
            partial(cli, "supabase db advisors", "db", "advisors", remote, "--fail-on", "warn"),
        ),
        Check("schema = migrations: pg_dump", partial(same_schema, migrated, declared)),
        Check("schema = migrations: own rows", partial(same_rows, migrated, declared)),
        Check("schema = migrations: supabase db diff", partial(no_difference, migrated, declared)),
        Check("no security definer in public", partial(no_definer_in_public, migrated)),
        Check("nothing PostgREST would retry (R15)", partial(nothing_is_retried, migrated)),
        Check("generated types are current", partial(types_are_current, migrated)),
    ]


def outcomes(checks: Sequence[Check]) -> Iterator[bool]:
    """Run each check, say in one line how it went, answer whether it held."""
    for check in checks:
        started = time.monotonic()
        try:
            check.run()
        except Failure as failure:
            say(f"FAILED  {check.title}")
            say("        " + str(failure).replace("\n", "\n        "))
            yield False
        else:
            say(f"ok      {check.title} ({time.monotonic() - started:.1f} s)")
            yield True


def scratch_databases(running: RunningStack) -> tuple[str, str]:
    """URLs of the two databases to compare, as role postgres."""
    return (
        db.from_migrations(running.stack, running.keys, "migrated"),
        db.from_schema(running.stack, running.keys, "declared"),
    )


def main() -> int:
    """Run every check; answers the exit code."""
    argparse.ArgumentParser(prog="./scripts/check", description=__doc__).parse_args()
    results = list(outcomes(static_checks()))
    try:
        with db.scratch_stack() as running:
            results += outcomes(database_checks(*scratch_databases(running)))
    except Failure as failure:
        say(f"FAILED  a database from sql/schema and one from the migrations\n        {failure}")
        results.append(False)
    failed = results.count(False)
    say(
        f"{len(results) - failed} of {len(results)} checks ok"
        + (f", {failed} FAILED" * bool(failed))
    )
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        complain("\nstopped")
        sys.exit(130)
    except Failure as failure:
        complain(f"check: {failure}")
        sys.exit(1)
