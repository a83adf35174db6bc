"""The tests that pages of the docs show pass when somebody copies them into an empty folder and sets nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from support.docs_project import DocsProject, count_of_tests

ASYNCIO: Final = {
    "pytest-asyncio": (),
    "pytest-asyncio in auto mode": ("-o", "asyncio_mode=auto"),
    "no pytest-asyncio": ("-p", "no:asyncio"),
}


def project_of(page: str, folder: Path) -> tuple[DocsProject, int]:
    """Return the project of a page, and the number of its tests."""
    project = DocsProject(folder)
    files = project.add_page(page)
    return project, sum(count_of_tests((folder / name).read_text()) for name in files)


@pytest.mark.parametrize("plugins", ASYNCIO)
def test_tests_of_the_testing_page_pass(tmp_path: Path, plugins: str) -> None:
    project, count = project_of("testing.md", tmp_path)
    project.run_pytest(*ASYNCIO[plugins], passed=count)


@pytest.mark.parametrize("page", ["fastapi.md", "flask.md"])
def test_tests_of_a_page_pass(tmp_path: Path, page: str) -> None:
    project, count = project_of(page, tmp_path)
    assert count >= 2
    project.run_pytest(passed=count)


def test_the_project_of_the_django_page_passes_its_own_tests(tmp_path: Path) -> None:
    project = DocsProject(tmp_path)
    project.start_django()
    project.add_page("django.md", keep=["mysite/settings.py"])
    project.run("-m", "soundpost", "init")
    project.run("manage.py", "makemigrations", "shop")
    assert "Ran 3 tests" in project.run("manage.py", "test")


def test_tests_of_the_django_page_pass_where_nothing_has_credentials(tmp_path: Path) -> None:
    project = DocsProject(tmp_path)
    project.start_django()
    project.add_page("django.md", keep=["mysite/settings.py"])
    project.run("-m", "soundpost", "init")
    project.run("manage.py", "makemigrations", "shop")
    (tmp_path / "soundpost.toml").unlink()  # it is in .gitignore, so a repository has none
    for more in ((), ("--parallel", "2")):
        output = project.run("manage.py", "test", *more)
        assert "Ran 3 tests" in output
        assert "no issues" in output
    assert "W005" in project.run("manage.py", "check")
