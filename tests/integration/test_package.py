"""The wheel and the source distribution, built as a release builds them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import pytest

import soundpost
from soundpost.documentation import SITE
from support.repository import ROOT, copy_of_repository, repository_files

OF_GIT: Final = frozenset({".gitignore"})
"""Files of the repository that mean something to Git only."""
INFORMATION: Final = f"soundpost-{soundpost.__version__}.dist-info/"
"""Folder in the wheel that tells what the package is."""
WARNING: Final = re.compile(r"^(warning|WARNING)\b|[a-z]Warning\b|experimental")


class Built(NamedTuple):
    """A wheel and a source distribution, and what was printed while they were built."""

    wheel: Path
    sdist: Path
    output: str

    def files_of_wheel(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def files_of_sdist(self) -> set[str]:
        """Return the files below the one folder of the source distribution."""
        with tarfile.open(self.sdist) as archive:
            files = [PurePosixPath(each.name) for each in archive.getmembers() if each.isfile()]
        return {str(each.relative_to(each.parts[0])) for each in files}

    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            return message_from_string(archive.read(f"{INFORMATION}METADATA").decode())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build both in a copy of the repository: the sdist there, the wheel from the sdist alone."""
    source = copy_of_repository(tmp_path_factory.mktemp("source"))
    command = [sys.executable, "-m", "build", "--no-isolation", "."]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=source, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    (wheel,), (sdist,) = (source / "dist").glob("*.whl"), (source / "dist").glob("*.tar.gz")
    return Built(wheel, sdist, done.stdout)


def test_the_build_has_no_warning(built: Built) -> None:
    assert [line for line in built.output.splitlines() if WARNING.search(line)] == []


def test_the_sdist_has_every_file_of_the_repository(built: Built) -> None:
    """Name the files that the sdist lacks: they belong into ``MANIFEST.in``."""
    made = {name for name in built.files_of_sdist() if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    assert built.files_of_sdist() - made == set(repository_files()) - OF_GIT


def test_scripts_of_the_sdist_can_be_run(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        modes = {PurePosixPath(*PurePosixPath(each.name).parts[1:]): each.mode for each in archive.getmembers()}
    scripts = [PurePosixPath(name) for name in repository_files() if os.access(ROOT / name, os.X_OK)]
    assert PurePosixPath("scripts/start") in scripts
    assert [str(each) for each in scripts if not modes[each] & 0o100] == []


def test_the_wheel_has_the_package_and_nothing_else(built: Built) -> None:
    package = {name.removeprefix("src/") for name in repository_files() if name.startswith("src/")}
    files = {name for name in built.files_of_wheel() if not name.startswith(INFORMATION)}
    compiled = {name for name in files - package if name.endswith(".so")}
    assert {name.partition(".")[0] + ".c" for name in compiled} == {name for name in package if name.endswith(".c")}
    assert files - compiled == {name for name in package if not name.endswith(".c")}
    assert {"soundpost/py.typed", "soundpost/server/playground/static/index.html"} <= files
    assert f"{INFORMATION}licenses/LICENSE" in built.files_of_wheel()


def test_one_wheel_is_for_all_versions_of_python(built: Built) -> None:
    assert "-cp311-abi3-" in built.wheel.name


def test_the_addresses_of_the_project_are_those_of_the_documentation(built: Built) -> None:
    addresses = dict(each.split(", ") for each in built.metadata().get_all("Project-URL", []))
    assert addresses["Documentation"] == SITE
    source = addresses["Source"]
    assert addresses["Issues"] == f"{source}/issues"
    assert addresses["Changelog"] == f"{source}/blob/main/CHANGELOG.md"


def test_the_page_of_the_package_is_the_readme_with_links_to_the_site(built: Built) -> None:
    metadata = built.metadata()
    assert metadata["Description-Content-Type"] == "text/markdown"
    page = metadata.get_payload()
    assert isinstance(page, str)
    assert page.splitlines()[:10] == (ROOT / "README.md").read_text().splitlines()[:10]
    assert f"]({SITE}quickstart/django/)" in page
    assert "](docs/" not in page
