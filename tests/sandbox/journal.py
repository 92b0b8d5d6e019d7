"""What the sandbox remembers: things by kind and id, kept in memory and in an append-only file."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

KEPT_PER_KIND = 5000


class Journal:
    """The latest state of every thing. A restart reads the file and writes it anew, compacted."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "journal.jsonl"
        self._lock = threading.RLock()
        self._things: dict[str, dict[str, dict[str, Any]]] = {}
        self._replay()
        self._compact()
        self._file = self._path.open("a", encoding="utf-8")

    def put(self, kind: str, id_: str, value: dict[str, Any]) -> None:
        """Remember a thing; the same id replaces it."""
        line = json.dumps({"kind": kind, "id": id_, "value": value}, ensure_ascii=False)
        with self._lock:
            self._things.setdefault(kind, {})[id_] = json.loads(line)["value"]
            self._file.write(line + "\n")
            self._file.flush()

    def get(self, kind: str, id_: str) -> dict[str, Any] | None:
        """A copy of a thing, None when there is none."""
        with self._lock:
            value = self._things.get(kind, {}).get(id_)
            return None if value is None else dict(value)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Copies of all things of a kind in the order they first came."""
        with self._lock:
            return [dict(value) for value in self._things.get(kind, {}).values()]

    def _replay(self) -> None:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                self._things.setdefault(entry["kind"], {})[entry["id"]] = entry["value"]
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a process that was killed

    def _compact(self) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            for kind, things in self._things.items():
                for id_ in list(things)[:-KEPT_PER_KIND]:
                    del things[id_]
                for id_, value in things.items():
                    entry = {"kind": kind, "id": id_, "value": value}
                    file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        fresh.replace(self._path)
