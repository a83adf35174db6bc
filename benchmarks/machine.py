"""Machine and software of a measurement, and the files that keep figures."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
VERSIONS = ("soundpost", "uvloop", "websockets", "uvicorn", "starlette", "django", "channels")


def machine() -> dict[str, Any]:
    """The processor, the kernel, and versions."""
    described = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in described if line.startswith("model name")), platform.machine())
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": versions,
    }


def on_what() -> str:
    """A sentence about the machine."""
    found = machine()
    return f"Machine: {found['cores']} cores of {found['cpu']}, Linux {found['kernel']}, Python {found['python']}."


def keep(folder: Path, name: str, rounds: int, rows: Sequence[dict[str, Any]]) -> None:
    """Write the runs of each size and candidate, in the form that ``figures.py`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "rounds": rounds, "rows": rows}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
