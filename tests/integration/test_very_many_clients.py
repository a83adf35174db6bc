"""Arithmetic of the benchmark with very many clients: workers, kernel limits, quantiles over processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield
    for name in [name for name in sys.modules if name.startswith("crowding")]:
        del sys.modules[name]


def test_workers_have_room_for_the_last_one_to_be_replaced() -> None:
    from crowding.server import workers_for

    workers = workers_for(100_000, open_files=20_000)
    share = 100_000 / workers * (1 + 1 / workers) ** (workers - 1)
    assert share < 20_000
    fewer = workers - 2
    assert 100_000 / fewer * (1 + 1 / fewer) ** (fewer - 1) > 19_000


def test_two_workers_at_least_so_that_one_serves_while_the_other_is_replaced() -> None:
    from crowding.server import workers_for

    assert workers_for(10, open_files=20_000) == 2


def test_a_limit_that_is_too_low_is_named_with_its_remedy(tmp_path: Path) -> None:
    from crowding.limits import obstacles

    for file, text in (("fs/file-max", "150000"), ("net/core/somaxconn", "128"), ("net/ipv4/tcp_mem", "10 20 30")):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    found = list(obstacles(100_000, tmp_path))
    assert [line.split("sysctl ")[1].split("=")[0] for line in found] == [
        "fs.file-max",
        "net.core.somaxconn",
        "net.ipv4.tcp_mem",
    ]


def test_limits_that_suffice_or_are_not_there_are_not_named(tmp_path: Path) -> None:
    from crowding.limits import obstacles

    (tmp_path / "fs").mkdir()
    (tmp_path / "fs/file-max").write_text("2466183")
    assert list(obstacles(100_000, tmp_path)) == []


def _report(**times: Any) -> dict[str, Any]:
    counts = dict.fromkeys(
        ("here", "events", "gaps", "missed_first", "not_there", "twice", "sent_away", "refused", "ended"), 1
    )
    return counts | {"latency": times, "back": {"number": 0, "least": 0.0, "most": 0.0, "steps": {}}}


def test_reports_of_two_processes_are_one() -> None:
    from crowding.clients import merged

    quick = _report(number=98, least=0.001, most=0.0012, steps={"350": 98})
    slow = _report(number=2, least=0.5, most=0.6, steps={"665": 2})
    report = merged([quick, slow])
    assert (report.here, report.lost) == (2, 6)
    assert report.latency.number == 100
    assert (report.latency.least, report.latency.most) == (0.001, 0.6)
    assert report.latency.p50 == pytest.approx(1.02**350 / 1e6, rel=0.03)
    assert report.latency.p99 == pytest.approx(1.02**665 / 1e6, rel=0.03)
    assert report.back.number == 0
