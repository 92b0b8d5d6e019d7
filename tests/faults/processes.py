"""The stack's processes, found through supervisor and ended or frozen by their ids."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from tests.conftest import wait_until

RESTART_SECONDS = 120.0


@dataclass(frozen=True)
class Processes:
    """What supervisor keeps running."""

    socket: str

    def information(self, program: str) -> dict[str, Any]:
        """What supervisor knows about a program: statename, pid and so on."""
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.socket}")
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            return dict(server.supervisor.getProcessInfo(program))  # type: ignore[arg-type]

    def pid(self, program: str) -> int:
        """Process id of a running program."""

        def running() -> int:
            information = self.information(program)
            return int(information["pid"]) if information["statename"] == "RUNNING" else 0

        found: int = wait_until(running, RESTART_SECONDS)
        return found

    def wait_replaced(self, program: str, pid: int) -> None:
        """Waits until supervisor has put another process in the place of `pid`."""
        wait_until(lambda: self.pid(program) != pid, RESTART_SECONDS)

    @contextmanager
    def frozen(self, program: str) -> Iterator[None]:
        """The program stands still during the block: it neither answers nor refuses."""
        pid = self.pid(program)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


def children(pid: int) -> list[int]:
    """Process ids of the direct children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in listed.read_text(encoding="ascii").split()]
    except FileNotFoundError:
        return []


def kill(pid: int) -> None:
    """As `kill -9`."""
    os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Victim:
    """Which process of which program dies."""

    program: str
    part: str = "itself"
    """itself; child: one of its children instead; whole: its children with it."""

    def __str__(self) -> str:
        return self.program if self.part == "itself" else f"{self.program}-{self.part}"

    def strike(self, processes: Processes) -> int:
        """Kills at once; the id of the process that must be replaced by another."""
        pid = processes.pid(self.program)
        if self.part == "child":
            # A parent that was replaced a moment ago has none yet, or is just being replaced.
            brood: list[int] = wait_until(
                lambda: children(processes.pid(self.program)), RESTART_SECONDS
            )
            kill(brood[0])
            return brood[0]
        family = [pid, *children(pid)] if self.part == "whole" else [pid]
        for member in family:
            kill(member)
        return pid

    def wait_replaced(self, processes: Processes, pid: int) -> None:
        """Waits until the dead process has a successor."""
        if self.part != "child":
            processes.wait_replaced(self.program, pid)
            return
        parent = processes.pid(self.program)
        count = 1
        wait_until(
            lambda: pid not in children(parent) and len(children(parent)) >= count,
            RESTART_SECONDS,
        )
