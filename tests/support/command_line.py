"""The command line in this process, in a directory and an environment of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from soundpost.tools.cli.app import app


class CommandLine:
    """Runs commands in ``directory``; files for other shells go to ``runtime``."""

    def __init__(self, directory: Path, runtime: Path) -> None:
        self.directory = directory
        self.runtime = runtime

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command; its ``exit_code``, ``stdout`` and ``stderr``."""
        return CliRunner().invoke(app, list(arguments), input=stdin, prog_name="soundpost")


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A command line whose directory is empty and whose environment says nothing about soundpost."""
    for name in list(os.environ):
        if name.startswith(("SOUNDPOST_", "REVERB_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("COLUMNS", "120")
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return CommandLine(directory, tmp_path / "runtime" / "soundpost")
