"""Where a stack keeps its state, which ports it takes, and what `.env` says about both."""

import hashlib
import os
import pwd
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from scripts.local.console import Failure

ROOT = Path(__file__).resolve().parents[2]
POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")
# Postgres refuses to run as root, and initdb fails below a directory only root may enter.
POSTGRES_HOME = Path("/var/lib/postgresql/mallgram")
SOCKET_PATH_LIMIT = 88  # bytes; supervisor adds a dot and a process id, the kernel allows 107


@dataclass(frozen=True)
class Ports:
    """TCP ports of one stack, all on 127.0.0.1."""

    gateway: int
    postgres: int
    auth: int
    rest: int
    rest_admin: int
    redis: int
    edge: int
    sandbox: int
    sandbox_smtp: int


PORT_SETTINGS: Mapping[str, tuple[str, int]] = {
    "gateway": ("GATEWAY_PORT", 54321),
    "postgres": ("POSTGRES_PORT", 54322),
    "auth": ("AUTH_PORT", 54330),
    "rest": ("REST_PORT", 54331),
    "rest_admin": ("REST_ADMIN_PORT", 54332),
    "redis": ("REDIS_PORT", 54379),
    "edge": ("PORT", 3000),
    "sandbox": ("SANDBOX_PORT", 54390),
    "sandbox_smtp": ("SANDBOX_SMTP_PORT", 54325),
}

# The throw-away stacks take consecutive ports, below the range from which Linux gives ports to
# clients, so that a restarted process finds its port free.
THROW_AWAY_PORTS: Mapping[str, tuple[str, int]] = {
    "test": ("TEST_PORTS_FROM", 24320),
    "bench": ("BENCH_PORTS_FROM", 25320),
    "check": ("CHECK_PORTS_FROM", 26320),
}


@dataclass(frozen=True)
class Stack:
    """One stack: `run` is the person's own, the others are thrown away after use."""

    name: str
    state: Path
    ports: Ports
    settings: Mapping[str, str]

    @property
    def is_throw_away(self) -> bool:
        """Whether its data are dropped before and after each use."""
        return self.name != "run"

    @property
    def env_file(self) -> Path:
        """The KEY=value file by which any client finds the stack."""
        return self.state / "env"

    @property
    def logs(self) -> Path:
        """One log file a program."""
        return self.state / "log"

    @property
    def config(self) -> Path:
        """Rendered configuration files, written anew at each start."""
        return self.state / "config"

    @property
    def auth_dir(self) -> Path:
        """Work directory of the auth and storage server."""
        return self.state / "auth"

    @property
    def tls_dir(self) -> Path:
        """Certificate of the mail sink and the authority that signed it."""
        return self.state / "tls"

    @property
    def postgres_data(self) -> Path:
        """Postgres' data directory: outside the clone for root, under `.local/` for others."""
        if os.geteuid() != 0:
            return self.state / "postgres"
        clone = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
        return POSTGRES_HOME / f"{clone}-{self.name}"

    @property
    def supervisor_socket(self) -> Path:
        """Unix socket of supervisor, in a short directory when the clone's path is too long."""
        socket = self.state / "supervisor.sock"
        if len(os.fsencode(socket)) <= SOCKET_PATH_LIMIT:
            return socket
        digest = hashlib.sha256(str(self.state).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"mallgram-{os.geteuid()}-{digest}" / "supervisor.sock"


def read_env_file(path: Path) -> dict[str, str]:
    """KEY=value lines of a file; blank lines and comments are skipped, quotes taken off."""
    values: dict[str, str] = {}
    if not path.exists():
        return values
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        key, separator, value = text.partition("=")
        if not separator or not key.strip().isidentifier():
            raise Failure(f"{path} line {number} is not KEY=value: {text.split('=')[0][:40]}")
        values[key.strip()] = value.strip().strip("'\"")
    return values


def local_settings() -> dict[str, str]:
    """`.env`, with the ports overridden by the environment."""
    values = read_env_file(ROOT / ".env")
    names = [name for name, _ in (*PORT_SETTINGS.values(), *THROW_AWAY_PORTS.values())]
    values.update({name: os.environ[name] for name in names if name in os.environ})
    return values


def port_of(settings: Mapping[str, str], name: str, default: int) -> int:
    """The port a setting names, checked to be one."""
    text = settings.get(name, str(default))
    if not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise Failure(f"{name} must be a port between 1024 and 65535, not '{text}'")
    return int(text)


def load_stack(name: str) -> Stack:
    """The stack of that name as `.env` describes it: run, test, bench or check."""
    settings = local_settings()
    if name == "run":
        numbers = {
            field: port_of(settings, setting, default)
            for field, (setting, default) in PORT_SETTINGS.items()
        }
        state = ROOT / ".local"
    else:
        first = port_of(settings, *THROW_AWAY_PORTS[name])
        numbers = {field.name: first + index for index, field in enumerate(fields(Ports))}
        state = ROOT / ".local" / name
        settings = {}  # the same for everybody: no test depends on somebody's .env
    taken: dict[int, str] = {}
    for field, number in numbers.items():
        if number in taken:
            raise Failure(f"port {number} is given to both {taken[number]} and {field} in .env")
        taken[number] = field
    return Stack(name, state, Ports(**numbers), settings)


def port_setting(stack: Stack, field: str) -> str:
    """The name in `.env` by which a port of this stack is changed."""
    return THROW_AWAY_PORTS[stack.name][0] if stack.is_throw_away else PORT_SETTINGS[field][0]


def user_name() -> str:
    """Name of the user who runs the stack."""
    return pwd.getpwuid(os.geteuid()).pw_name
