"""The project in a folder: its framework, and the files that show it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soundpost.errors import ConfigurationError
from soundpost.tools.setup.applications import PACKAGES, applications
from soundpost.tools.setup.frameworks import Framework
from soundpost.tools.setup.search import UnreadModule, files_below, modules_with, read_small


@dataclass(frozen=True, slots=True)
class Sign:
    """A file that shows a framework."""

    framework: Framework
    path: Path
    depth: int


@dataclass(frozen=True, slots=True)
class Project:
    """A project, with the files that show its framework, the likeliest first."""

    framework: Framework
    directory: Path
    """The folder in which the project's commands are called."""
    files: tuple[Path, ...] = ()
    others: tuple[Sign, ...] = ()
    """Signs of other frameworks, further below."""
    unread: tuple[UnreadModule, ...] = ()
    """Modules that cannot be parsed, and are likelier to have the application than the files found."""

    @property
    def alternatives(self) -> tuple[Path, ...]:
        """The files that may as well be the one with the application as the first: neither depth nor name tells."""
        if not self.files:
            return ()
        first = _likelihood(self.files[0])[:2]
        return tuple(path for path in self.files[1:] if _likelihood(path)[:2] == first)


def find_project(directory: Path, wanted: Framework | None = None) -> Project:
    """Return the project in a folder. Raises ConfigurationError if it may be one of several frameworks.

    Without ``wanted`` the framework is the one whose files are nearest to the folder. No code is imported.
    """
    if wanted is Framework.NONE:
        return Project(wanted, directory)
    unread: list[UnreadModule] = []
    signs = list(_signs(directory, unread))
    if wanted is None:
        nearest = min((sign.depth for sign in signs), default=0)
        kinds = sorted({sign.framework for sign in signs if sign.depth == nearest})
        if len(kinds) > 1:
            raise ConfigurationError(_choice(directory, [sign for sign in signs if sign.depth == nearest]))
        wanted = kinds[0] if kinds else Framework.NONE
    own = [sign for sign in signs if sign.framework is wanted]
    others = tuple(sign for sign in signs if sign.framework is not wanted)
    if wanted in (Framework.DJANGO, Framework.LARAVEL):
        _check_the_only_one(directory, own)
        top = own[0].path.parent if own else directory
        return Project(wanted, top, tuple(sign.path for sign in own[:1]), others)
    paths = sorted((sign.path for sign in own), key=_likelihood)
    unread = [each for each in unread if not paths or _likelihood(each.path)[:2] < _likelihood(paths[0])[:2]]
    return Project(
        wanted,
        _import_folder(paths[0], directory) if paths else directory,
        tuple(paths),
        others,
        tuple(sorted(unread, key=lambda each: _likelihood(each.path))),
    )


def _signs(directory: Path, unread: list[UnreadModule]) -> Iterator[Sign]:
    for found in files_below(directory):
        if found.path.name == "manage.py" and b"DJANGO_SETTINGS_MODULE" in read_small(found.path):
            yield Sign(Framework.DJANGO, found.path, found.depth)
        elif found.path.name == "composer.json" and _is_laravel(found.path):
            yield Sign(Framework.LARAVEL, found.path, found.depth)
    for found, source in modules_with(directory, *PACKAGES, unread=unread):
        for framework in sorted({application.framework for application in applications(source.tree)}):
            yield Sign(framework, found.path, found.depth)


def _is_laravel(path: Path) -> bool:
    try:
        document = json.loads(read_small(path) or b"{}")
        return "laravel/framework" in document.get("require", {})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return False


_MAIN: Final = ("app", "main", "asgi", "wsgi", "application", "server", "__init__")
"""Usual names of a module with the application, the most usual ones first."""


def _import_folder(path: Path, directory: Path) -> Path:
    """Return the folder from which a module is imported: above the packages around it, but not above ``directory``.

    Without a package around the module, that is ``directory`` itself.
    """
    folder = path.parent
    if not (folder / "__init__.py").exists():
        return directory
    while folder != directory and (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _likelihood(path: Path) -> tuple[int, int, str]:
    """Return a key that sorts the likeliest module of the application first."""
    return len(path.parts), _MAIN.index(path.stem) if path.stem in _MAIN else len(_MAIN), str(path)


def _check_the_only_one(directory: Path, signs: list[Sign]) -> None:
    nearest = [sign for sign in signs if sign.depth == signs[0].depth]
    if len(nearest) > 1:
        locations = " and ".join(str(sign.path.parent.relative_to(directory)) for sign in nearest)
        name = nearest[0].framework.display_name
        raise ConfigurationError(f"{locations} are both {name} projects: choose one with --directory")


def _choice(directory: Path, signs: list[Sign]) -> str:
    found = {sign.framework: sign.path.relative_to(directory) for sign in reversed(signs)}
    words = " and ".join(f"{framework.display_name} ({path})" for framework, path in sorted(found.items()))
    options = " or ".join(f"--framework {framework.value}" for framework in sorted(found))
    return f"{words} are both here: say which one to set up, with {options}"
