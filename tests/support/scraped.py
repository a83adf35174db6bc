"""What Prometheus finds at a server's metrics."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families

from support.harness import RunningServer, until


class Metrics:
    """The samples of one scrape, by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return a sample, whose name goes on after ``soundpost_``; of app 1 unless ``labels`` say otherwise."""
        return self._samples[f"soundpost_{name}", tuple(sorted(labels.items()))]

    def app(self, name: str, **labels: str) -> float:
        """Return a sample of app 1."""
        return self.value(name, app="1", **labels)

    def names(self) -> set[str]:
        """Return the names of all samples."""
        return {name for name, _ in self._samples}


def metrics_url(server: RunningServer) -> str:
    """Return where a server says that its metrics are."""
    (line,) = server.wait_for_log("the metrics are at ")
    found = re.search(r"http://\S+/metrics", line)
    assert found is not None, line
    return found[0]


def scrape(server: RunningServer, token: str | None = None) -> Metrics:
    """Return the metrics as a server gives them now."""
    status, text = get(metrics_url(server), token)
    assert status == 200, text
    return Metrics(text)


def scrape_until(server: RunningServer, agrees: Callable[[Metrics], bool]) -> Metrics:
    """Return the first metrics that agree: those of a worker that stands still come later."""
    found: list[Metrics] = []

    def scraped() -> bool:
        found[:] = [scrape(server)]
        return agrees(found[0])

    until(scraped, lambda: found[0].text)
    return found[0]


def get(url: str, token: str | None = None) -> tuple[int, str]:
    """Return status and body."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urlopen(Request(url, headers=headers), timeout=20) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def lint(text: str) -> str:
    """Return what ``promtool check metrics`` has to say about metrics: nothing, if all is well."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""
