"""Make tables and plots of what ``growth.py`` measured: ``python benchmarks/report.py``.

Tables go into ``docs/performance.md`` between ``<!-- growth:begin -->`` and ``<!-- growth:end -->``, plots into
``docs/images``. Nothing is measured here: the same results give the same pages.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from figures import NAMES, Results, beside_floor, left_out, number, paragraph, table
from pages import PERFORMANCE, write_section
from plots import Panel, plot

HERE = Path(__file__).parent
COMPARED = ("soundpost", "websockets_broadcast", "starlette_manager")
"""Those that are near enough to the floor for one linear axis."""


def between(values: Iterable[float | None]) -> str:
    """The range of some ratios."""
    found = [value for value in values if value is not None]
    low, high = f"{min(found, default=0):.1f}", f"{max(found, default=0):.1f}"
    return low if low == high else f"{low}–{high}"


def _ratios_title(results: Results, beginning: str) -> str:
    ranges = {
        NAMES[name]: between(results.ratio(size, name, "delivery_us") for size in results.sizes)
        for name in COMPARED
        if name in results.candidates
    }
    return f"{beginning}: " + ", ".join(f"{name} {text}" for name, text in ranges.items()) + " × the C floor"


def subscribers(results: Results, images: Path) -> list[str]:
    plot(
        images / "performance-subscribers.svg",
        _ratios_title(results, "Delivery"),
        [
            Panel("subscribers of the channel", "CPU per delivery, µs", results.lines("delivery_us")),
            Panel(
                "subscribers of the channel",
                "CPU per delivery, ratio to the C floor",
                [results.ratio_line(name, "delivery_us") for name in COMPARED if name in results.candidates],
                logarithmic=False,
            ),
        ],
    )
    measured = [size for size in results.sizes if results.median(size, "soundpost", "memory_bytes") is not None]
    servers = [name for name in results.candidates if name != "floor"]
    parts = [
        "### Subscribers of one channel",
        "![CPU per delivery by number of subscribers](images/performance-subscribers.svg)",
        "CPU per delivery, and its ratio to the C floor of the same round:",
        beside_floor(results, "subscribers"),
        left_out(results),
    ]
    if not measured:
        return parts
    kilobytes = results.lines("memory_bytes", 1_000)
    last = {line.name: line.middles[line.sizes.index(measured[-1])] for line in kilobytes if measured[-1] in line.sizes}
    plot(
        images / "performance-connections.svg",
        "Memory per connection: " + ", ".join(f"{name} {size:.1f} kB" for name, size in last.items()),
        [
            Panel("connections", "memory per connection, kB", kilobytes),
            Panel("connections", "CPU per connect and subscribe, µs", results.lines("connect_us")),
        ],
    )
    return [
        *parts,
        "### Connections",
        "![Memory and CPU per connection by number of connections](images/performance-connections.svg)",
        "Resident memory per subscribed connection, and CPU per connect and subscribe:",
        table(
            ["connections", *(NAMES[name] for name in servers)],
            (
                [
                    f"{size:,}",
                    *(
                        f"{number(results.median(size, name, 'memory_bytes'), 'B')}, "
                        f"{number(results.median(size, name, 'connect_us'), 'µs')}"
                        for name in servers
                    ),
                ]
                for size in measured
            ),
        ),
    ]


def payload(results: Results, images: Path) -> list[str]:
    plot(
        images / "performance-payload.svg",
        _ratios_title(results, "Larger events"),
        [Panel("bytes of event data", "CPU per delivery, µs", results.lines("delivery_us"))],
    )
    return [
        "### Payload",
        "![CPU per delivery by size of the event's data](images/performance-payload.svg)",
        paragraph(
            "CPU per delivery to 1,000 subscribers, each event once all have the one before, and its ratio to the C "
            "floor of the same round:"
        ),
        beside_floor(results, "bytes of data"),
        left_out(results),
    ]


def publishers(results: Results, images: Path) -> list[str]:
    last = results.sizes[-1]
    costs = (
        f"{NAMES[name]} {number(results.median(last, name, 'delivery_us'), 'µs')}"
        for name in COMPARED
        if name in results.candidates
    )
    plot(
        images / "performance-publishers.svg",
        f"Delivery with {last} publishers: " + ", ".join(costs),
        [Panel("publishers at the same time", "CPU per delivery, µs", results.lines("delivery_us"))],
    )
    return [
        "### Publishers at the same time",
        "![CPU per delivery by number of publishers](images/performance-publishers.svg)",
        paragraph(
            "CPU per delivery to 1,000 subscribers, and its ratio to the C floor, which sends each event on its own; "
            "each publisher waits for its answer before it publishes again:"
        ),
        beside_floor(results, "publishers"),
        left_out(results),
    ]


def channels(results: Results, images: Path) -> list[str]:
    first, last = results.sizes[0], results.sizes[-1]
    few, many = (results.median(size, "soundpost", "publish_us") or 0 for size in (first, last))
    plot(
        images / "performance-channels.svg",
        f"A publish costs {few:.0f} µs beside {first:,} other channel{'s' * (first > 1)}, "
        f"{many:.0f} µs beside {last:,}",
        [
            Panel(
                "channels", "CPU per publish to 10 subscribers, µs", [results.line("soundpost", "publish_us")], False
            ),
            Panel("channels", "CPU per GET /channels, ms", [results.line("soundpost", "list_us", unit=1_000)]),
        ],
    )
    mixed = "soundpost, 100,000 subscriptions"

    def row(size: int) -> list[str]:
        listed = results.median(size, "soundpost", "list_us")
        return [
            f"{size:,}",
            number(results.median(size, "soundpost", "publish_us"), "µs"),
            number(results.median(size, "soundpost", "subscribe_us"), "µs"),
            number(results.median(size, "soundpost", "memory_bytes"), "B"),
            "–" if listed is None else f"{listed / 1_000:,.2f} ms",
            number(results.median(size, mixed, "memory_bytes"), "B"),
        ]

    return [
        "### Channels",
        "![CPU per publish and per list of channels by number of channels](images/performance-channels.svg)",
        paragraph(
            "Soundpost with 1,000 connections and so many channels of one subscriber each (100 channels a connection "
            "at 100,000). A subscription alone in its packet costs more than one of many that a client sends at once:"
        ),
        table(
            [
                "channels",
                "publish to 10 subscribers of another: CPU",
                "subscribe: CPU",
                "memory per channel and its subscription",
                "`GET /channels`: CPU",
                "100,000 subscriptions in so many channels: memory per subscription",
            ],
            map(row, results.sizes),
        ),
        left_out(results),
    ]


def presence(results: Results, images: Path) -> list[str]:
    last = results.sizes[-1]
    ratio = results.ratio(last, "soundpost", "join_us") or 0
    plot(
        images / "performance-presence.svg",
        f"A join of {last:,} members costs {ratio:.2f} × what it takes the C floor to tell them",
        [
            Panel(
                "members of the channel",
                "CPU per connect and join, µs",
                [
                    results.line("floor", "join_us"),
                    results.line("soundpost", "join_us"),
                    results.line("soundpost", "again_us", "Soundpost, a member's other connection"),
                ],
            )
        ],
    )

    def row(size: int) -> list[str]:
        ratio = results.ratio(size, "soundpost", "join_us")
        return [
            f"{size:,}",
            number(results.median(size, "floor", "join_us"), "µs"),
            number(results.median(size, "soundpost", "join_us"), "µs")
            + ("" if ratio is None else f", **{ratio:.2f}**"),
            number(results.median(size, "soundpost", "again_us"), "µs"),
            number(results.median(size, "soundpost", "list_bytes"), "B"),
        ]

    return [
        "### Presence",
        "![CPU per join by number of members](images/performance-presence.svg)",
        paragraph(
            "CPU per connect and join of a new member, whom all others are told of, beside the C floor accepting a "
            "client and telling as many; of another connection of a member, of which nobody is told; and the list "
            "that each gets:"
        ),
        table(
            ["members", "C floor", "Soundpost", "another connection of a member", "list of members"],
            map(row, results.sizes),
        ),
        left_out(results),
    ]


def workers(results: Results, images: Path) -> list[str]:
    def row(size: int, candidate: str) -> list[str]:
        def figure(name: str) -> float | None:
            return results.median(size, candidate, name)

        event, idle, share = figure("event_ms"), figure("idle_bytes"), figure("smallest_share_percent")
        return [
            f"{size}",
            candidate,
            number(figure("delivery_us"), "µs"),
            "–" if event is None else f"{event:,.1f} ms",
            number(figure("connect_us"), "µs"),
            "–" if idle is None else f"{idle / 1e6:,.0f} MB",
            "–" if share is None else f"{share:.0f} %",
        ]

    return [
        "### Workers",
        paragraph(
            "`soundpost start --workers N`, CPU of all its processes. Nothing is pinned to a core here, and the "
            f"clients take their part of the {results.machine['cores']} cores:"
        ),
        table(
            [
                "workers",
                "audience",
                "CPU per delivery",
                "wall time per event",
                "connect and subscribe: CPU",
                "memory, no client",
                "smallest worker's share of the clients",
            ],
            (row(size, candidate) for size in results.sizes for candidate in results.candidates),
        ),
        left_out(results),
    ]


def hosts(results: Results, images: Path) -> list[str]:
    def row(size: int, candidate: str) -> list[str]:
        written = results.median(size, candidate, "written_bytes")
        return [
            f"{size}",
            candidate,
            *(number(results.median(size, candidate, name), "µs") for name in ("publish_us", "hear_us", "redis_us")),
            number(results.median(size, candidate, "read_bytes"), "B"),
            "–" if written is None else number(written / size, "B"),
        ]

    return [
        "### Hosts",
        paragraph(
            "Hosts over one Redis, each with one subscriber of the channel; all of them and Redis take turns on one "
            "core. CPU for each event, and the bytes that Redis reads of it, and writes to each host:"
        ),
        table(
            ["hosts", "published by", "publishing host", "each other host", "Redis", "Redis reads", "writes, to each"],
            (row(size, candidate) for size in results.sizes for candidate in results.candidates),
        ),
        left_out(results),
    ]


SECTIONS: dict[str, Callable[[Results, Path], list[str]]] = {
    "subscribers": subscribers,
    "publishers": publishers,
    "payload": payload,
    "channels": channels,
    "presence": presence,
    "workers": workers,
    "hosts": hosts,
}


COMMANDS = """```sh
.venv/bin/pip install -e '.[benchmarks]'
.venv/bin/python benchmarks/growth.py --rounds {rounds}
.venv/bin/python benchmarks/report.py
```"""


def method(machine: dict[str, Any], rounds: int) -> list[str]:
    """How and on what, for the beginning."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [
        paragraph(
            "`benchmarks/growth.py` measures, `benchmarks/report.py` makes this section of it: Soundpost beside other "
            "ways to do the same in Python, and how its costs grow."
        ),
        COMMANDS.format(rounds=rounds),
        paragraph(
            f"Medians of {rounds} round{'s' * (rounds > 1)}, plots with the rounds' extremes; method as "
            f"above. Machine: {machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}, Python "
            f"{machine['python']}; {versions}."
        ),
        paragraph(
            "The others are in `benchmarks/others/`: the `websockets` library with `broadcast()`; uvicorn and "
            "Starlette with a connection manager (`await connection.send_text(…)` for each); uvicorn and Django "
            "Channels with its in-memory layer, which is not meant for production. All run on uvloop, without "
            "compression and pings, for the same clients, with the same bytes. Soundpost checks each request's "
            "signature; the others check nothing, and know neither presence nor limits."
        ),
    ]


def page(results: Path, images: Path) -> str:
    """The section's text; its plots are written on the way."""
    found = {name: Results(path) for name in SECTIONS if (path := results / f"{name}.json").exists()}
    if not found:
        raise SystemExit(f"There are no results in {results}: run benchmarks/growth.py first.")
    parts = method(next(iter(found.values())).machine, min(subject.rounds for subject in found.values()))
    for name, subject in found.items():
        parts += SECTIONS[name](subject, images)
    return "\n\n".join(part for part in parts if part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--page", type=Path, default=PERFORMANCE)
    options = parser.parse_args()
    images = options.page.parent / "images"
    images.mkdir(exist_ok=True)
    write_section(options.page, "growth", page(options.results, images))


if __name__ == "__main__":
    main()
