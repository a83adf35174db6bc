"""Forms of log lines: text and JSON, one line a fact, whatever a client sends."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys

import pytest

from soundpost.log_fields import fields
from soundpost.server.processes.log_formats import JsonFormat, LogFormat, RecordFormatter, TextFormat

HOSTILE = "a\n2026-01-01 00:00:00,000 ERROR soundpost.server: forged\r\x1b[2J\x00\x85\u2028\u202e\ud800\"}'"
AT = 1_790_000_000.125


def formatted(form: LogFormat, message: str, *args: object, **extra: object) -> str:
    """Return the line of a record."""
    record = logging.makeLogRecord(
        {"levelname": "WARNING", "name": "soundpost.api", "msg": message, "args": args, "created": AT, **extra}
    )
    return RecordFormatter(form).format(record)


def test_a_line_of_text_has_time_level_process_and_logger() -> None:
    line = formatted(TextFormat("worker 2"), "%d of %s", 3, "them", **fields(app="1"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:20,125 WARNING \[worker 2\] soundpost\.api: 3 of them", line)
    assert " WARNING soundpost.api: " in formatted(TextFormat(), "alone")


def test_a_line_of_json_has_the_fields_of_the_fact() -> None:
    line = formatted(JsonFormat("worker 2"), "%d of %s", 3, "them", **fields(app="1", code=4009, seconds=0.5))
    assert json.loads(line) == {
        "time": "2026-09-21T14:13:20.125Z",
        "level": "WARNING",
        "logger": "soundpost.api",
        "process": "worker 2",
        "message": "3 of them",
        "app": "1",
        "code": 4009,
        "seconds": 0.5,
    }
    assert json.loads(formatted(JsonFormat(), "alone"))["process"] == "server"


@pytest.mark.parametrize("form", [TextFormat(), JsonFormat()])
def test_no_text_of_a_client_is_a_line_or_moves_the_cursor(form: LogFormat) -> None:
    line = formatted(form, "refused %s", HOSTILE, **fields(origin=HOSTILE, channels=[HOSTILE], by={HOSTILE: 1}))
    assert line.isprintable()
    line.encode()


def test_json_keeps_what_a_client_sent() -> None:
    line = json.loads(formatted(JsonFormat(), "%s", HOSTILE))
    assert line["message"] == HOSTILE.replace("\ud800", "\\ud800")


def error() -> object:
    """Return the information of an error whose text is hostile."""
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        return sys.exc_info()


def test_a_traceback_in_text_is_indented() -> None:
    first, *rest = formatted(TextFormat(), "failed", exc_info=error()).split("\n")
    assert first.endswith(" soundpost.api: failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_a_traceback_in_json_is_a_field() -> None:
    line = formatted(JsonFormat(), "failed", exc_info=error())
    assert line.isprintable()
    assert "ValueError: a\n" in json.loads(line)["exception"]


PRINTED_BY_PYTHON = """
import threading, warnings
from soundpost.server.processes.logs import set_up_logging
set_up_logging(form={form!r})

class Unraisable:
    def __del__(self):
        raise ValueError("of an object")

def fail():
    raise ValueError("of a thread")

warnings.warn("of a library")
Unraisable()
thread = threading.Thread(target=fail, name="reader")
thread.start()
thread.join()
raise ValueError("of the program")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_python_prints_is_in_the_log_too(form: str) -> None:
    program = PRINTED_BY_PYTHON.format(form=form)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("    ")]
    assert len(lines) == 4
    if form == "text":
        levels = [line.split()[2] for line in lines]
    else:
        found = [json.loads(line) for line in lines]
        levels = [line["level"] for line in found]
        assert [line["exception"].splitlines()[-1] for line in found[1:]] == [
            "ValueError: of an object",
            "ValueError: of a thread",
            "ValueError: of the program",
        ]
    assert levels == ["WARNING", "ERROR", "ERROR", "CRITICAL"]
