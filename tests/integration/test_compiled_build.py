"""The build with compiled modules, and the heart of the protocol over it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.repository import copy_of_repository

CONFORMANCE: Final = (
    "tests/conformance/protocol/test_http_publishing.py",
    "tests/conformance/protocol/test_observing.py",
    "tests/conformance/protocol/test_client_events.py",
    "tests/conformance/protocol/test_connecting.py",
    "tests/conformance/protocol/test_hello_and_errors.py",
    "tests/conformance/protocol/test_presence_channels.py",
    "tests/conformance/protocol/test_resuming.py",
    "tests/conformance/protocol/test_subscribing.py",
    "tests/unit/test_compilation.py",
)
"""Tests that go through most of what is compiled. ``scripts/test-compiled`` runs all."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile in a copy of the repository: compiled modules would hide changes of the source beside them."""
    copy = copy_of_repository(tmp_path_factory.mktemp("compiled"))
    quickly = {"SOUNDPOST_COMPILE": "1", "SOUNDPOST_COMPILE_OPTIMIZATION": "0"}
    run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], copy, quickly)
    return copy


def run(command: list[str], folder: Path, environ: dict[str, str]) -> str:
    """Run a command in a folder; return what it prints. Fails the test if the command does."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=folder, env=outer | environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-10_000:]
    return done.stdout


def test_compiled_modules_keep_the_protocol(compiled: Path) -> None:
    source = {"PYTHONPATH": str(compiled / "src")}
    told = run([sys.executable, "-m", "soundpost", "--version", "--verbose"], compiled, source)
    assert "code: compiled by mypyc" in told
    done = run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *CONFORMANCE], compiled, source)
    assert "passed by group: conformance" in done
