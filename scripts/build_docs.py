"""Build the documentation site: collect its pages in one folder, then run Zensical on them, strictly.

    python scripts/build_docs.py [FOLDER]       # the site is in FOLDER/site; without FOLDER in build/docs/site

``setup.py`` takes the README for PyPI from here, where its links lead to the site.

On GitHub the pages link to files beside ``docs/``, such as the changelog, and the site needs all pages in one folder.
So the pages are copied, and their links are changed to where the copies are. Links to other files of the repository,
such as the code of an example, lead to GitHub.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_CODE: Final = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)((?:#[^)\s]*)?\))")
_BESIDE: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting-a-vulnerability.md",
    "examples/django_chat/README.md": "examples/django-chat.md",
    "examples/fastapi_orders/README.md": "examples/fastapi-orders.md",
    "examples/fastapi_orders/src/main.js": "examples/fastapi-orders-main.js",
    "examples/flask_dashboard/README.md": "examples/flask-dashboard.md",
    "examples/flask_likes/README.md": "examples/flask-likes.md",
}
"""Files outside ``docs/`` that the site has too, and where."""


def main(folder: Path) -> int:
    """Build the site in ``folder/site``; return the exit code of Zensical."""
    shutil.rmtree(folder, ignore_errors=True)
    collect(folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    zensical = [sys.executable, "-m", "zensical"]
    return subprocess.run([*zensical, "build", "--strict", "--clean"], cwd=folder, check=False).returncode


def collect(target: Path) -> None:
    """Copy all pages and pictures into a new folder, with links that lead from copy to copy."""
    places = pages()
    for source, place in places.items():
        copy = target / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            copy.write_text(_linked(source, places), encoding="utf-8")
        else:
            shutil.copyfile(source, copy)


def pages() -> dict[Path, Path]:
    """Return all files of the site, each with its place in the site."""
    folder = ROOT / "docs"
    found = {file: file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.is_file()}
    return found | {ROOT / name: Path(place) for name, place in _BESIDE.items()}


def readme_for_pypi() -> str:
    """Return ``README.md`` with links to the site in place of links to files of the repository."""
    site, places = _urls()["Documentation"], pages()

    def link(found: re.Match[str]) -> str:
        return f"{found[1]}{site}{address(places[ROOT / found[2]])}{found[3]}"

    return _with_links((ROOT / "README.md").read_text(encoding="utf-8"), link)


def address(place: Path) -> str:
    """Return the address of a file of the site, below the site's own: ``quickstart/django/``."""
    if place.suffix != ".md":
        return place.as_posix()
    folder = place.parent if place.name == "README.md" else place.with_suffix("")
    return f"{folder.as_posix()}/" if folder.name else ""


def _urls() -> dict[str, str]:
    """Return the addresses of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls: dict[str, str] = project["urls"]
    return urls


def _linked(source: Path, places: dict[Path, Path]) -> str:
    def link(found: re.Match[str]) -> str:
        file = Path(os.path.normpath(source.parent / found[2]))
        if file not in places:
            kind = "tree" if file.is_dir() else "blob"
            on_github = f"{found[1]}{_urls()['Source']}/{kind}/main/{file.relative_to(ROOT).as_posix()}{found[3]}"
            return on_github if file.exists() else found[0]  # Zensical names what is nowhere
        return f"{found[1]}{os.path.relpath(places[file], places[source].parent)}{found[3]}"

    return _with_links(source.read_text(encoding="utf-8"), link)


def _with_links(text: str, link: Callable[[re.Match[str]], str]) -> str:
    """Return a page with each link between its files replaced by what ``link`` returns; code stays as it is."""
    parts = _CODE.split(text)
    return "".join(part if part.lstrip().startswith("```") else _LINK.sub(link, part) for part in parts)


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:2] or [ROOT / "build/docs"]).resolve()))
