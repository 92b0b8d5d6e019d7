"""Rounds of two sides in turns, and how much of the machine somebody else had meanwhile."""

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOREIGN_LIMIT = 0.10
"""Share of all cores that others may have had in a round that still counts."""
LEAST_ROUNDS = 3
"""Clean rounds a side must have for the others to be left out."""
MORE_ROUNDS = 3
"""Rounds that may follow for those that others disturbed."""
REAPED_SECONDS = 0.7
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measurement:
    """What a load generator saw in one round."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    failed: int = 0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Round:
    """One measurement and its circumstances."""

    side: str
    number: int
    measurement: Measurement
    pressure: float
    """Share of the time in which some task waited for a core (/proc/pressure/cpu)."""
    foreign: float
    """Share of all cores' time that went to processes of neither the stack nor the bench."""
    core_ms: float
    """Core time a request cost stack and bench together, in milliseconds."""

    @property
    def is_clean(self) -> bool:
        """Whether others left the machine alone."""
        return self.foreign <= FOREIGN_LIMIT

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        seen = self.measurement
        return {
            "side": self.side,
            "round": self.number,
            "rate": round(seen.rate, 1),
            "requests": seen.requests,
            "seconds": round(seen.seconds, 3),
            "failed": seen.failed,
            "p50_ms": round(seen.p50_ms, 3),
            "p99_ms": round(seen.p99_ms, 3),
            "max_ms": round(seen.max_ms, 3),
            "cpu_pressure": round(self.pressure, 3),
            "foreign_cpu": round(self.foreign, 3),
            "core_ms_per_request": round(self.core_ms, 3),
            "is_clean": self.is_clean,
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank). Raises on no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def pressure_seconds() -> float:
    """Seconds since boot in which some task waited for a core."""
    some = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
    return int(some.rsplit("total=", 1)[1]) / 1e6


def busy_seconds() -> float:
    """Seconds that all cores together have worked since boot, time stolen by the host included."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(f) for f in fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS


def tree_seconds(roots: Sequence[int]) -> float:
    """Seconds of core time of processes below the roots, their ended children included."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        pid = int(entry.name)
        parents[pid] = int(fields[1])
        seconds[pid] = sum(int(field) for field in fields[11:15]) / TICKS

    def belongs(pid: int) -> bool:
        while pid > 1:
            if pid in roots:
                return True
            pid = parents.get(pid, 0)
        return False

    return sum(spent for pid, spent in seconds.items() if belongs(pid))


def measure(side: str, number: int, act: Callable[[], Measurement], roots: Sequence[int]) -> Round:
    """One round of one side. `roots` are the processes whose families belong to the bench."""
    began, waited = time.monotonic(), pressure_seconds()
    busy, ours = busy_seconds(), tree_seconds(roots)
    measurement = act()
    elapsed = time.monotonic() - began
    waited = pressure_seconds() - waited
    busy = busy_seconds() - busy
    # The time of ended processes is told once their parent has taken note.
    time.sleep(REAPED_SECONDS)
    own = tree_seconds(roots) - ours
    return Round(
        side,
        number,
        measurement,
        pressure=waited / elapsed,
        foreign=max(0.0, busy - own) / (elapsed * (os.cpu_count() or 1)),
        core_ms=1000 * own / max(1, measurement.requests),
    )


def disturbed(rounds: Sequence[Round]) -> set[int]:
    """Numbers of rounds in which a side was disturbed: the other has nothing to stand beside."""
    return {one.number for one in rounds if not one.is_clean}


def interleave(
    sides: Mapping[str, Callable[[], Measurement]],
    rounds: int,
    roots: Sequence[int],
    tell: Callable[[Round], None],
) -> list[Round]:
    """Rounds of the sides in turns, A B A B …, each told as it ends.

    For rounds that others disturbed more are run, at most MORE_ROUNDS.
    """
    done: list[Round] = []
    for number in range(1, rounds + MORE_ROUNDS + 1):
        for side, act in sides.items():
            ended = measure(side, number, act, roots)
            tell(ended)
            done.append(ended)
        if number - len(disturbed(done)) >= rounds:
            break
    return done


def counted(rounds: Sequence[Round]) -> tuple[list[Round], bool]:
    """The rounds that count: those that others left alone (true), or all when they are too few."""
    thrown_away = disturbed(rounds)
    clean = [one for one in rounds if one.number not in thrown_away]
    if len(clean) >= LEAST_ROUNDS * len({one.side for one in rounds}):
        return clean, True
    return list(rounds), False


@dataclass(frozen=True)
class Summary:
    """Medians of one side and the range of its rates."""

    rate: float
    rate_least: float
    rate_most: float
    p50_ms: float
    p99_ms: float
    core_ms: float
    """Core time a request, in milliseconds: what noise cannot touch."""
    failed: int
    requests: int

    @staticmethod
    def of(rounds: Sequence[Round], side: str) -> "Summary":
        """Over the rounds of that side."""
        own = [one for one in rounds if one.side == side]
        seen = [one.measurement for one in own]
        rates = [one.rate for one in seen]
        return Summary(
            rate=statistics.median(rates),
            rate_least=min(rates),
            rate_most=max(rates),
            p50_ms=statistics.median(one.p50_ms for one in seen),
            p99_ms=statistics.median(one.p99_ms for one in seen),
            core_ms=statistics.median(one.core_ms for one in own),
            failed=sum(one.failed for one in seen),
            requests=sum(one.requests for one in seen),
        )


def ratios(rounds: Sequence[Round], above: str, below: str) -> list[float]:
    """Rate of one side over the other's, round by round."""
    rates = {(one.side, one.number): one.measurement.rate for one in rounds}
    return [rate / rates[below, number] for (side, number), rate in rates.items() if side == above]
