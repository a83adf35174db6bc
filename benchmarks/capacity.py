"""Capacity of a host and of a cluster, computed from measured figures: ``python benchmarks/capacity.py``.

Reads what ``growth.py`` (workers, hosts), ``tls.py`` and ``hundred_thousand.py`` have written into
``benchmarks/results``, and writes tables into ``docs/capacity.md`` between its two marks. Nothing is measured here: the
same results give the same page. A figure that was not measured is a dash.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from figures import Results, number, paragraph, table
from machine import RESULTS
from pages import DOCS, write_section

USED = 0.6
"""Part of a core that may be in use at the busiest time."""
CLIENTS = (1_000, 10_000, 100_000, 250_000, 1_000_000)
RATES = {"one event a minute": 1 / 60, "one in ten seconds": 1 / 10, "one a second": 1.0}
"""How often a client gets an event."""
AT_ONCE = "8 publishers at once"
SOURCES = ("workers", "hosts", "tls", "hundred_thousand")

Figure = float | None


class Measured:
    """The figures that the tables are made of; None for what was not measured."""

    def __init__(self, folder: Path) -> None:
        self._results = {name: Results(path) for name in SOURCES if (path := folder / f"{name}.json").exists()}
        workers = self._of("workers")
        self.delivery = workers(2, "10,000 subscribers", "delivery_us")
        self.connect = workers(2, "10,000 subscribers", "connect_us")
        thousands = self._of("hundred_thousand")
        size = self._largest("hundred_thousand")
        self.connection = thousands(size, "connect and subscribe", "rss_bytes")
        both = thousands(size, "connect and subscribe", "kernel_bytes")
        self.kernel = None if both is None else both / 2
        """Bytes of the kernel for the server's end of a connection."""
        self.hosts = self._results["hosts"].sizes if "hosts" in self._results else []
        self.machines = [self._results[name].machine for name in SOURCES if name in self._results]

    def tls(self, end: str, name: str) -> Figure:
        """A figure of connections whose TLS is ended there."""
        return self._of("tls")(self._largest("tls"), end, name)

    def of_hosts(self, count: int, name: str) -> Figure:
        return self._of("hosts")(count, AT_ONCE, name)

    def _largest(self, subject: str) -> int:
        return max(self._results[subject].sizes) if subject in self._results else 0

    def _of(self, subject: str) -> Callable[[int, str, str], Figure]:
        results = self._results.get(subject)
        return (lambda size, candidate, name: None) if results is None else results.median


def times(*factors: Figure) -> Figure:
    """A product; None if a factor was not measured."""
    product = 1.0
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return product


def a_second(microseconds: Figure) -> str:
    """How many a core does at the most that is to be used of it."""
    return "–" if not microseconds else f"{rounded(USED * 1e6 / microseconds):,}"


def rounded(value: float) -> int:
    """To two digits: what is reckoned from measured figures is no finer."""
    step = int(10.0 ** max(0, len(str(int(value))) - 2))
    return round(value / step) * step


def size(value: Figure) -> str:
    """Bytes in a unit that fits."""
    if value is None:
        return "–"
    for unit, many in (("GB", 1e9), ("MB", 1e6)):
        if value >= many:
            return f"{value / many:,.1f} {unit}" if value < 10 * many else f"{value / many:,.0f} {unit}"
    return f"{value / 1e3:,.0f} kB"


def cores(value: Figure) -> str:
    if value is None:
        return "–"
    return "< 0.1" if value < 0.1 else f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def of_a_core(found: Measured) -> str:
    """What one core does in a second."""
    four = found.of_hosts(4, "publish_us")
    rows: Iterable[tuple[str, Figure]] = (
        ("delivery of an event to one client", found.delivery),
        ("the same with TLS in Soundpost", found.tls("Soundpost", "delivery_us")),
        ("the same with TLS in Nginx, Nginx included", found.tls("Nginx", "delivery_us")),
        ("connect and subscribe", found.connect),
        ("the same with a full TLS handshake in Soundpost", found.tls("Soundpost", "full_us")),
        ("the same in Nginx, Nginx included", found.tls("Nginx", "full_us")),
        ("publish an event, on one host", found.of_hosts(1, "publish_us")),
        ("the same, on one of four hosts over Redis", four),
        ("hear an event of another host", found.of_hosts(4, "hear_us")),
    )
    return table(
        ["work", "CPU", f"a core at {USED:.0%} does in a second"],
        ([what, number(cost, "µs"), a_second(cost)] for what, cost in rows),
    )


def of_clients(found: Measured) -> str:
    """What so many clients need."""

    def row(count: int) -> list[str]:
        loads = (times(count * rate / 1e6 / USED, found.tls("Nginx", "delivery_us")) for rate in RATES.values())
        back = times(count / 1e6, found.tls("Nginx", "full_us"))
        all_at_once = times(count / 1e6, found.delivery)
        return [
            f"{count:,}",
            size(times(count, found.connection)),
            size(times(count, found.kernel)),
            size(times(count, found.tls("Nginx", "memory_bytes"))),
            *map(cores, loads),
            number(all_at_once, "s") if all_at_once is None or all_at_once >= 10 else f"{all_at_once:.2f} s",
            number(back, "s") if back is None or back >= 10 else f"{back:.1f} s",
        ]

    head = ["clients", "memory: Soundpost", "kernel, one end", "with TLS in Nginx, all processes"]
    head += [f"cores: {rate}" for rate in RATES]
    return table([*head, "CPU of an event to all", "CPU until all are back, with TLS"], map(row, CLIENTS))


def of_clusters(found: Measured) -> str:
    """How many events a second a cluster takes, if every host has every channel."""

    def row(count: int) -> list[str]:
        own, heard = found.of_hosts(count, "publish_us"), found.of_hosts(count, "hear_us")
        each = own if count == 1 else None if own is None or heard is None else (own + (count - 1) * heard) / count
        full = found.of_hosts(count, "redis_us")
        limit = None if full is None or each is None else USED * 1e6 / max(full, each)
        return [
            f"{count}",
            a_second(full),
            a_second(each),
            "–" if full is None or each is None else "Redis" if full > each else "the hosts",
            size(times(limit, found.of_hosts(count, "read_bytes"))) + "/s",
            size(times(limit, found.of_hosts(count, "written_bytes"))) + "/s",
        ]

    head = ["hosts", "events a second until Redis is full", "until the hosts are, one core each", "first to be full"]
    return table([*head, "Redis reads then", "and writes"], map(row, found.hosts))


def page(found: Measured) -> str:
    """The section's text."""
    machines = {f"{each['cores']} cores of {each['cpu']}, Python {each['python']}" for each in found.machines}
    return "\n\n".join(
        (
            paragraph(
                f"Reckoned from figures measured on {' and '.join(sorted(machines))}. A core counts as full at "
                f"{USED:.0%}, so that there is room for peaks."
            ),
            "### What a core does",
            of_a_core(found),
            "### What so many clients need",
            paragraph(
                "Cores are those of Soundpost and Nginx together, for a client that gets an event so often. The last "
                "two columns are seconds of CPU time: divided by the cores there are, they are seconds."
            ),
            of_clients(found),
            "### What a cluster takes",
            paragraph("Every host has subscribers of every channel, and events are published on all hosts alike:"),
            of_clusters(found),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=DOCS / "capacity.md")
    options = parser.parse_args()
    write_section(options.page, "capacity", page(Measured(options.results)))


if __name__ == "__main__":
    main()
