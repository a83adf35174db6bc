"""The whole plan of a project's set-up: its credentials, its code, and what keeps the credentials secret."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from soundpost.config import load
from soundpost.environment.toml_document import FILE_NAME, is_file, read_toml
from soundpost.errors import ConfigurationError
from soundpost.tools.setup.application_files import plan_application
from soundpost.tools.setup.changes import Changes
from soundpost.tools.setup.credentials_file import plan_credentials
from soundpost.tools.setup.django_files import credentials_in_settings, plan_django, settings_of
from soundpost.tools.setup.frameworks import Framework
from soundpost.tools.setup.gitignore import plan_gitignore
from soundpost.tools.setup.laravel import plan_laravel
from soundpost.tools.setup.preview import shown
from soundpost.tools.setup.project import Project


@dataclass(frozen=True, slots=True)
class Setup:
    """A project, and all that is to do in it."""

    project: Project
    changes: Changes
    credentials: Path | None
    """The file ``soundpost.toml``; None where another place has the credentials."""


def plan_setup(project: Project, *, replace: bool = False) -> Setup:
    """Return what a project needs; ``replace`` makes new credentials in any case. Raises ConfigurationError."""
    changes = Changes()
    if project.framework is Framework.LARAVEL:
        changes.add(plan_laravel(project))
        changes.add(plan_gitignore(project.directory / ".env"))
        return Setup(project, changes, None)
    path = _home(project) / FILE_NAME
    location = "" if replace else _other_place(project, path)
    if not location:
        file = plan_credentials(path, shown(path, project.directory), replace=replace)
        changes.files += [file] if file is not None else []
        changes.add(plan_gitignore(path))
    else:
        rest = f"{FILE_NAME} needs no app" if path.exists() else f"no {FILE_NAME} is needed"
        changes.notes.append(f"{location} has credentials already, so {rest}")
    if project.framework is Framework.DJANGO:
        changes.add(plan_django(project))
    elif project.framework is not Framework.NONE:
        changes.add(plan_application(project))
    changes.notes += _notes(project)
    return Setup(project, changes, None if location else path)


def _other_place(project: Project, path: Path) -> str:
    """Return the place that has credentials already, if that is not the file ``soundpost.toml``; empty without one."""
    if project.framework is Framework.DJANGO and credentials_in_settings(project):
        return "settings.SOUNDPOST"
    try:
        loaded = load(environ=os.environ, directory=path.parent)
        has_apps = is_file(path) and bool(read_toml(path, FILE_NAME).get("apps"))
    except ConfigurationError:
        return ""
    if loaded.generated or has_apps:
        return ""
    location = shown(path.parent / ".env", project.directory) if ".env" in loaded.sources else "the environment"
    return f"{location} (app {loaded.settings.apps[0].id})"


def _home(project: Project) -> Path:
    """Return the folder of ``soundpost.toml``: where the project's commands are called, in Django ``BASE_DIR``."""
    settings = settings_of(project) if project.framework is Framework.DJANGO else None
    base = settings.base_dir() if settings is not None else None
    return base if base is not None and base.is_dir() else project.directory


def _notes(project: Project) -> list[str]:
    notes = []
    for name in ("soundpost.py", "soundpost/__init__.py"):
        if (project.directory / name).exists():
            notes.append(f"{name} hides the package of the same name from your code: give it another name")
    for path, reason in project.unread[:1]:
        notes.append(
            f"{shown(path, project.directory)} could not be read, as {reason}: correct it, and call init again"
        )
    for sign in project.others[:1]:
        notes.append(
            f"{sign.framework.display_name} is here too, in {shown(sign.path, project.directory)}: "
            f"set it up with --framework {sign.framework.value}"
        )
    return notes
