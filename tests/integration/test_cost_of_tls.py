"""The benchmark of TLS, with few clients: each end of TLS serves them, and tickets are taken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_tls_is_measured_in_soundpost_and_in_front_of_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- tls:begin -->\nold\n<!-- tls:end -->\nafter\n")
    command = [sys.executable, "tls.py", "--rounds", "1", "--clients", "130", "--events", "1"]
    done = subprocess.run(
        [*command, "--only", "no TLS,Soundpost,Nginx", "--results", tmp_path, "--page", page],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["candidate"]: row["runs"][0] for row in json.loads((tmp_path / "tls.json").read_text())["rows"]}
    assert rows.keys() == {"no TLS", "Soundpost", "Nginx"}
    assert rows["Soundpost"]["memory_bytes"] > 5 * rows["no TLS"]["memory_bytes"]
    text = page.read_text()
    assert text.startswith("before\n<!-- tls:begin -->\n")
    assert text.endswith("<!-- tls:end -->\nafter\n")
    assert "old" not in text
    assert "| Nginx | " in text


def test_an_end_of_tls_that_nobody_knows_is_named() -> None:
    command = [sys.executable, "tls.py", "--only", "Soundpost,Apache"]
    done = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such end of TLS: Apache; there are no TLS, Soundpost, Nginx" in done.stderr
