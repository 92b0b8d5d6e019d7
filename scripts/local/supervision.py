"""Supervisor: the programs of a stack, their start, their health, their end."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from scripts.local.console import Failure
from scripts.local.settings import ROOT, Stack, port_setting

# The kernel sends the signal when the parent process dies, however it dies.
END_WITH_PARENT = ["/usr/bin/setpriv", "--pdeathsig", "TERM"]
LOG_BYTES = "20MB"
STOP_SECONDS = 15
PORT_SECONDS = 4
# Started from first to last, stopped from last to first; those of one wave at the same time.
WAVES: Sequence[Sequence[str]] = (
    ("port-keeper",),
    ("postgres",),
    ("redis", "auth"),
    ("postgrest", "nginx", "sandbox", "edge"),
    ("relay", "worker-payments", "worker-mail", "worker-maintenance", "worker-supply"),
)


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    directory: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    user: str | None = None
    ready_seconds: float = 60


def quoted(argument: str) -> str:
    """An argument as supervisor's shell-like parser reads it; % is its own escape."""
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def configuration(stack: Stack, programs: Sequence[Program]) -> str:
    """supervisord.conf. Nothing starts by itself: `start` does it in order, with health checks."""
    lines = [
        "[supervisord]",
        "nodaemon = true",
        "silent = true",
        f"logfile = {stack.logs}/supervisord.log",
        f"logfile_maxbytes = {LOG_BYTES}",
        "logfile_backups = 1",
        f"pidfile = {stack.state}/supervisord.pid",
        "minfds = 1024",
        *(["user = root"] if os.geteuid() == 0 else []),
        "",
        "[unix_http_server]",
        f"file = {stack.supervisor_socket}",
        "chmod = 0700",
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "",
        "[supervisorctl]",
        f"serverurl = unix://{stack.supervisor_socket}",
    ]
    for index, program in enumerate(programs):
        # Should supervisor itself be killed, its programs end too: no orphans.
        command = ["/usr/bin/setpriv", "--pdeathsig", program.stop_signal, *program.command]
        environment = ",".join(
            f"{key}={quoted(value)}" for key, value in sorted(program.environment.items())
        )
        lines += [
            "",
            f"[program:{program.name}]",
            f"command = {' '.join(quoted(part) for part in command)}",
            f"directory = {program.directory}",
            f"priority = {100 + index}",
            "autostart = false",
            "autorestart = true",
            "startsecs = 1",
            "startretries = 1000000",
            f"stopsignal = {program.stop_signal}",
            f"stopwaitsecs = {STOP_SECONDS}",
            "stopasgroup = false",
            "killasgroup = true",
            "redirect_stderr = true",
            f"stdout_logfile = {stack.logs}/{program.name}.log",
            f"stdout_logfile_maxbytes = {LOG_BYTES}",
            "stdout_logfile_backups = 1",
            *([f"environment = {environment}"] if environment else []),
            *([f"user = {program.user}"] if program.user else []),
        ]
    return "\n".join(lines) + "\n"


class Supervisor:
    """The supervisor of one stack, reached over its unix socket."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.log_starts: dict[str, int] = {}

    def proxy(self) -> Any:
        """Supervisor's XML-RPC interface; the library has no types."""
        address = f"unix://{self.stack.supervisor_socket}"
        transport = SupervisorTransport(None, None, serverurl=address)
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def is_running(self) -> bool:
        """Whether a supervisor answers."""
        try:
            self.proxy().getState()
        except (OSError, Fault):
            return False
        return True

    def launch(
        self, programs: Sequence[Program], environment: Mapping[str, str], *, detach: bool
    ) -> None:
        """Start supervisor itself. Not detached, it ends when the calling process ends."""
        stack = self.stack
        stack.logs.mkdir(parents=True, exist_ok=True)
        stack.logs.chmod(0o700)
        directory = stack.supervisor_socket.parent
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if directory.stat().st_uid != os.geteuid():
            raise Failure(f"{directory} belongs to another user: remove it")
        if stack.supervisor_socket.exists():
            stack.supervisor_socket.unlink()
        path = stack.state / "supervisord.conf"
        path.touch(mode=0o600)
        path.write_text(configuration(stack, programs), encoding="utf-8")
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)]
        with (stack.logs / "supervisord.out").open("wb") as output:
            process = subprocess.Popen(
                [*([] if detach else END_WITH_PARENT), *command],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 15
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                said = (stack.logs / "supervisord.out").read_text(encoding="utf-8").strip()
                raise Failure(f"supervisor did not start: {said[-800:]}")
            time.sleep(0.05)

    def start(self, *programs: Program) -> None:
        """Start programs at the same time and wait until each is ready.

        Raises Failure with the last log lines of one that keeps dying or never gets ready.
        """
        proxy = self.proxy()
        for program in programs:
            log = self.log_of(program.name)
            self.log_starts[program.name] = log.stat().st_size if log.exists() else 0
            proxy.startProcess(program.name, False)
        for program in programs:
            self.await_ready(program, proxy)

    def await_ready(self, program: Program, proxy: Any) -> None:
        """Wait until a started program is ready; raises Failure as `start` does."""
        deadline = time.monotonic() + program.ready_seconds
        deaths: set[int] = set()
        while True:
            info = proxy.getProcessInfo(program.name)
            if info["statename"] in ("BACKOFF", "EXITED", "FATAL", "STOPPED"):
                deaths.add(int(info["stop"]))
                if info["statename"] == "FATAL" or len(deaths) > 2:
                    said = self.last_lines(program.name)
                    raise Failure(f"{program.name} died at its start.{said}")
            elif program.is_ready():
                return
            if time.monotonic() > deadline:
                raise Failure(
                    f"{program.name} was not ready after {program.ready_seconds:.0f} s."
                    f"{self.last_lines(program.name)}"
                )
            time.sleep(0.05)

    def restart(self, program: Program) -> None:
        """Stop one program and start it again."""
        self.proxy().stopProcess(program.name)
        self.start(program)

    def state_of(self, name: str) -> str:
        """RUNNING, BACKOFF and so on, as supervisor calls it."""
        return str(self.proxy().getProcessInfo(name)["statename"])

    def states(self) -> dict[str, str]:
        """State of every program."""
        return {str(i["name"]): str(i["statename"]) for i in self.proxy().getAllProcessInfo()}

    def log_of(self, name: str) -> Path:
        """Where supervisor writes what a program says."""
        return self.stack.logs / f"{name}.log"

    def last_lines(self, name: str, count: int = 12) -> str:
        """The end of what a program has said since its start, as text to append to a message."""
        path = self.log_of(name)
        if not path.exists():
            return ""
        text = path.read_bytes()
        start = self.log_starts.get(name, 0)
        said = text[start if start < len(text) else 0 :].decode(errors="replace").splitlines()
        return f" Its last log lines ({path}):\n    " + "\n    ".join(said[-count:])

    def stop(self) -> None:
        """End every program and supervisor; returns when the process is gone."""
        if not self.is_running():
            return
        proxy = self.proxy()
        process_id = int(proxy.getPID())
        states = self.states()
        for wave in reversed(WAVES):
            running = [name for name in wave if states.get(name, "STOPPED") != "STOPPED"]
            for wait in (False, True):
                for name in running:
                    with suppress(Fault):
                        proxy.stopProcess(name, wait)
        # Its own shutdown takes a second for each program it knows, stopped or not.
        for name in states:
            with suppress(Fault):
                proxy.removeProcessGroup(name)
        proxy.shutdown()
        deadline = time.monotonic() + 90
        while is_alive(process_id):
            if time.monotonic() > deadline:
                raise Failure(f"supervisor (process {process_id}) does not end")
            time.sleep(0.05)


def is_alive(process_id: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def require_free_ports(stack: Stack) -> None:
    """Raise Failure naming the first port that something else holds.

    Linux may have lent a port to some client's connection for a moment: that is waited for.
    """
    deadline = time.monotonic() + PORT_SECONDS
    for name, number in vars(stack.ports).items():
        while not is_free(number):
            if time.monotonic() > deadline:
                raise Failure(
                    f"port {number} (for {name.replace('_', ' ')}) is taken by another program: "
                    f"end that program or set {port_setting(stack, name)} in .env"
                )
            time.sleep(0.2)


def is_free(port: int) -> bool:
    """Whether a program could listen on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
