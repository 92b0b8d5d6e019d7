"""Results as JSON under .local/bench/ and as a table for people."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.stand import ROOT, say


@dataclass(frozen=True)
class Target:
    """One figure against what it must reach."""

    id: str
    figure: str
    value: float
    wanted: float
    is_met: bool

    @staticmethod
    def at_least(id_: str, figure: str, value: float, wanted: float) -> "Target":
        """Met from `wanted` upwards."""
        return Target(id_, figure, value, wanted, value >= wanted)

    @staticmethod
    def at_most(id_: str, figure: str, value: float, wanted: float) -> "Target":
        """Met up to `wanted`."""
        return Target(id_, figure, value, wanted, value <= wanted)


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    return {"cores": os.cpu_count(), "cpu": model}


def write(name: str, result: Mapping[str, Any], targets: Sequence[Target]) -> Path:
    """Writes `<name>.json`; the path."""
    folder = Path(os.environ.get("BENCH_DIR", ROOT / ".local" / "bench"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    document = {
        "bench": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        **result,
        "targets": [asdict(target) for target in targets],
    }
    path.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")
    return path


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints rows under heads, columns as wide as they need."""
    cells = [list(heads), *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
    for number, row in enumerate(cells):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            say("  ".join("-" * width for width in widths))


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def conclude(
    name: str, result: Mapping[str, Any], targets: Sequence[Target], *, note: str = ""
) -> None:
    """Writes the JSON, prints the targets and where the JSON is."""
    path = write(name, result, targets)
    say()
    table(
        ["target", "figure", "value", "wanted", "met"],
        [[t.id, t.figure, float(t.value), float(t.wanted), t.is_met] for t in targets],
    )
    if note:
        say(note)
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    say(f"written: {shown}")


def overview() -> None:
    """Prints the targets of every result there is, whenever it was measured."""
    folder = Path(os.environ.get("BENCH_DIR", ROOT / ".local" / "bench"))
    rows = [
        [
            document["bench"],
            t["id"],
            t["figure"],
            float(t["value"]),
            float(t["wanted"]),
            t["is_met"],
        ]
        for path in sorted(folder.glob("*.json"))
        for document in [json.loads(path.read_text(encoding="utf-8"))]
        for t in document.get("targets", [])
    ]
    table(["bench", "target", "figure", "value", "wanted", "met"], rows)


if __name__ == "__main__":
    overview()
