"""How many processes serve an application: one embedded server in each of several would reach only its own clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def number_of_processes(environ: Mapping[str, str], argv: Sequence[str]) -> int:
    """As far as ``WEB_CONCURRENCY``, or the command line of uvicorn, gunicorn or hypercorn, says; else 1."""
    for number, argument in enumerate(argv):
        name, _, value = argument.partition("=")
        if name in ("--workers", "-w"):
            return _count(value or next(iter(argv[number + 1 :]), ""))
    return _count(environ.get("WEB_CONCURRENCY", ""))


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 1
