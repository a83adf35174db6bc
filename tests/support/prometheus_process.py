"""A real Prometheus, on a free loopback port and in a folder of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from support.harness import until
from support.redis_process import free_port


def program(name: str) -> str:
    """Return the path of ``prometheus`` or ``promtool``."""
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed: scripts/test installs it"
    return found


def promtool(*arguments: str) -> str:
    """Return what ``promtool`` prints; fail if it has found a fault."""
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Prometheus:
    """A Prometheus that answers queries."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    @property
    def is_ready(self) -> bool:
        with suppress(OSError, URLError), urlopen(f"{self._base}/-/ready", timeout=5) as response:
            return bool(response.status == 200)
        return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples that an expression has now; fail if Prometheus does not understand it."""
        try:
            with urlopen(f"{self._base}/api/v1/query?{urlencode({'query': expression})}", timeout=20) as response:
                answer = json.load(response)
        except HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Return the value of an expression with one sample; None without any."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules with their state."""
        with urlopen(f"{self._base}/api/v1/rules", timeout=20) as response:
            groups = json.load(response)["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def running_prometheus(config: Path, data: Path) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration until the end of the block; ``data`` is the folder for what it collects."""
    port = free_port()
    options = [f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    with (data.parent / "prometheus.log").open("w") as log:
        process = subprocess.Popen([program("prometheus"), *options, "--log.level=warn"], stdout=log, stderr=log)
    try:
        made = Prometheus(port)
        until(lambda: made.is_ready or process.poll() is not None, "Prometheus is ready")
        assert process.poll() is None, (data.parent / "prometheus.log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait(20)
