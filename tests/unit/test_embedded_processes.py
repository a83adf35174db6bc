"""How many processes serve an application, as far as the embedded server can know."""

from __future__ import annotations

import logging

import pytest

from soundpost.asgi import App
from soundpost.asgi.processes import number_of_processes


@pytest.mark.parametrize(
    ("environ", "command", "expected"),
    [
        ({}, "uvicorn shop:app", 1),
        ({}, "uvicorn shop:app --workers 4", 4),
        ({}, "gunicorn -k uvicorn_worker.UvicornWorker -w 3 shop:app", 3),
        ({}, "hypercorn --workers=2 shop:app", 2),
        ({"WEB_CONCURRENCY": "2"}, "uvicorn shop:app", 2),
        ({"WEB_CONCURRENCY": "2"}, "uvicorn shop:app --workers 1", 1),
        ({"WEB_CONCURRENCY": ""}, "uvicorn shop:app", 1),
        ({}, "uvicorn shop:app --workers", 1),
    ],
)
def test_number_of_processes(environ: dict[str, str], command: str, expected: int) -> None:
    assert number_of_processes(environ, command.split()) == expected


def test_several_processes_are_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with caplog.at_level(logging.WARNING):
        App(apps=[{"id": "1", "key": "k", "secret": "s"}])
    assert "4 processes with an embedded server each" in caplog.text
