"""Journeys are played once a run; several tests look at what one printed and left behind."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 600

Played = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def play(stack_env: dict[str, str]) -> Callable[[str], Played]:
    """Plays the journey of a name against the stack, or answers how it was played before."""
    played: dict[str, Played] = {}

    def once(name: str) -> Played:
        if name not in played:
            script = ROOT / "tests" / "journeys" / f"{name}.journey.mjs"
            played[name] = subprocess.run(
                [stack_env["NODE"], str(script)],
                cwd=ROOT,
                env={**os.environ, "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=LIMIT_SECONDS,
                check=False,
            )
        return played[name]

    return once
