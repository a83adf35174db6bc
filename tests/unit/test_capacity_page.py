"""The page on capacity, reckoned from results of measurements."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MARKS = "# Capacity\n\n<!-- capacity:begin -->\n<!-- capacity:end -->\n\nAfter.\n"


def result(folder: Path, name: str, size: int, candidate: str, **figures: float) -> None:
    machine = {"cores": 2, "cpu": "Z80", "python": "3.11.7"}
    rows = [{"size": size, "candidate": candidate, "runs": [figures]}]
    (folder / f"{name}.json").write_text(json.dumps({"machine": machine, "rounds": 1, "rows": rows}))


def written(folder: Path, page: str = MARKS) -> subprocess.CompletedProcess[str]:
    (folder / "capacity.md").write_text(page)
    command = [sys.executable, "capacity.py", "--results", str(folder), "--page", str(folder / "capacity.md")]
    return subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=False)


def rows(folder: Path) -> dict[str, Any]:
    lines = (folder / "capacity.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {each[0]: each[1:] for each in cells}


def test_what_was_measured_is_reckoned_on_and_the_rest_is_a_dash(tmp_path: Path) -> None:
    result(tmp_path, "workers", 2, "10,000 subscribers", delivery_us=10.0, connect_us=200.0, idle_bytes=5e7)
    result(tmp_path, "hundred_thousand", 100_000, "connect and subscribe", rss_bytes=2_000, kernel_bytes=6_000)
    done = written(tmp_path)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path)
    assert found["delivery of an event to one client"] == ["10.00 µs", "60,000"]
    assert found["connect and subscribe"] == ["200 µs", "3,000"]
    assert found["publish an event, on one host"] == ["–", "–"]
    million = found["1,000,000"]
    assert million[:3] == ["2.0 GB", "3.0 GB", "–"]
    assert million[-2:] == ["10 s", "–"]
    assert "2 cores of Z80" in (tmp_path / "capacity.md").read_text()


def test_redis_or_the_hosts_are_full_first(tmp_path: Path) -> None:
    figures = {"publish_us": 100.0, "hear_us": 20.0, "read_bytes": 400, "written_bytes": 800}
    result(tmp_path, "hosts", 2, "8 publishers at once", redis_us=10.0, **figures)
    assert written(tmp_path).returncode == 0
    assert rows(tmp_path)["2"] == ["60,000", "10,000", "the hosts", "4.0 MB/s", "8.0 MB/s"]
    result(tmp_path, "hosts", 2, "8 publishers at once", redis_us=120.0, **figures)
    assert written(tmp_path).returncode == 0
    assert rows(tmp_path)["2"][2] == "Redis"


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    result(tmp_path, "workers", 2, "10,000 subscribers", delivery_us=10.0)
    done = written(tmp_path, page="# Capacity\n")
    assert done.returncode == 1
    assert "has no <!-- capacity:begin -->" in done.stderr
    assert (tmp_path / "capacity.md").read_text() == "# Capacity\n"
