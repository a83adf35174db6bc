"""Set-up of a Django project: settings, URLs, and a module for channel routes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from soundpost.environment.toml_document import is_file
from soundpost.tools.setup.brackets import append, prepend
from soundpost.tools.setup.changes import Change, Changes, ManualEdit, editable
from soundpost.tools.setup.django_settings import (
    DjangoSettings,
    SettingsFile,
    module_file,
    package_folder,
    settings_module,
)
from soundpost.tools.setup.names import (
    add_import,
    add_to_import,
    bound_names,
    imported_as,
    string_constants,
    targets,
)
from soundpost.tools.setup.preview import shown
from soundpost.tools.setup.project import Project
from soundpost.tools.setup.search import modules_with
from soundpost.tools.setup.source import Insertion, PythonSource, UneditableError

_LISTS: Final = {"INSTALLED_APPS": "soundpost.django", "MIDDLEWARE": "soundpost.django.SocketIdMiddleware"}
_URLS: Final = "soundpost.django.urls"
_SETTINGS_LINES: Final = tuple(f'{name} += ["{item}"]' for name, item in _LISTS.items())
_URL_LINES: Final = (
    "from django.urls import include, path",
    "",
    f'urlpatterns = [path("broadcasting/", include("{_URLS}")), *urlpatterns]',
)
_CHANNELS: Final = '''\
"""Channel routes: who may subscribe to private and presence channels."""

# from soundpost import channels
#
#
# @channels.private("orders.{order_id:int}")
# def order(user, order_id: int) -> bool:
#     return user.is_staff
'''


def plan_django(project: Project) -> Changes:
    """Return the changes that the project needs; none for parts that it has already."""
    module = settings_module(project.files[0]) if project.files else None
    changes = Changes()
    if module is None:
        reason = "manage.py does not say which settings module it uses" if project.files else "there is no manage.py"
        changes.manual_edits += [
            ManualEdit("the settings", reason, _SETTINGS_LINES),
            ManualEdit("the URLs", reason, _URL_LINES),
        ]
        return changes
    try:
        settings = DjangoSettings(module, project.directory)
    except UneditableError as error:
        changes.manual_edits += [
            ManualEdit(f"the settings, {module}", str(error), _SETTINGS_LINES),
            ManualEdit("the URLs", str(error), _URL_LINES),
        ]
        return changes
    _plan_settings(settings, project.directory, changes)
    _plan_urls(settings, project.directory, changes)
    _plan_channels(settings, project.directory, changes)
    return changes


def credentials_in_settings(project: Project) -> bool:
    """Return whether the settings have credentials of their own, so that no other file needs any."""
    settings = settings_of(project)
    found = settings.definition("SOUNDPOST") if settings is not None else None
    if found is None:
        return False
    if isinstance(found[1], ast.Dict):
        return any(text.upper() in ("APP_ID", "URL", "CONNECTIONS") for text in string_constants(found[1]))
    return True


def settings_of(project: Project) -> DjangoSettings | None:
    """Return the settings of a project; None if they cannot be read."""
    module = settings_module(project.files[0]) if project.files else None
    try:
        return None if module is None else DjangoSettings(module, project.directory)
    except UneditableError:
        return None


def _plan_settings(settings: DjangoSettings, directory: Path, changes: Changes) -> None:
    """Add the changes of the modules that define the two lists; usually one module has both."""
    insertions: dict[Path, list[Insertion]] = {}
    lines: dict[Path, list[str]] = {}
    files: dict[Path, SettingsFile] = {}
    for name, item in _LISTS.items():
        if settings.has_text(item):
            continue
        line = f'{name} += ["{item}"]'
        found = settings.definition(name)
        file = found[0] if found else settings.files[0]
        try:
            if found is None:
                raise UneditableError(f"it sets no {name} that can be read without running it")
            editable(file.path, directory)
            insertions.setdefault(file.path, []).extend(_added(file, name, found[1], item))
            lines.setdefault(file.path, []).append(line)
            files[file.path] = file
        except UneditableError as error:
            changes.manual_edits.append(ManualEdit(shown(file.path, directory), str(error), (line,)))
    for path, file in files.items():
        _add(changes, directory, file.source, path, insertions[path], tuple(lines[path]))


def _added(file: SettingsFile, name: str, value: ast.expr, item: str) -> list[Insertion]:
    """Return the insertions that add a text to a list of the settings: into the list itself, or behind it."""
    target = _literal(value) or _of_third_parties(file, value)
    if target is not None:
        try:
            return append(file.source, target, _quoted(file.source, target, item))
        except UneditableError:
            pass  # a tuple without brackets
    return [file.source.after(file.bindings(name)[-1], f'{name} = [*{name}, "{item}"]')]


def _literal(value: ast.expr) -> ast.List | ast.Tuple | None:
    """Return the last list or tuple in a sum, or the value itself."""
    if isinstance(value, ast.List | ast.Tuple):
        return value
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return _literal(value.right) or _literal(value.left)
    return None


def _of_third_parties(file: SettingsFile, value: ast.expr) -> ast.List | ast.Tuple | None:
    """Return the list ``THIRD_PARTY_APPS`` or the like in ``INSTALLED_APPS = DJANGO_APPS + THIRD_PARTY_APPS``."""
    for node in ast.walk(value):
        if isinstance(node, ast.Name) and "THIRD" in node.id.upper():
            found = file.value(node.id)
            if isinstance(found, ast.List | ast.Tuple):
                return found
    return None


def _quoted(source: PythonSource, value: ast.List | ast.Tuple, item: str) -> str:
    quote = "'" if value.elts and source.code(value.elts[-1]).startswith("'") else '"'
    return f"{quote}{item}{quote}"


def _plan_urls(settings: DjangoSettings, directory: Path, changes: Changes) -> None:
    if any(_URLS in string_constants(source.tree) for _, source in modules_with(directory, _URLS)):
        return
    module = settings.text("ROOT_URLCONF")
    path = module_file(directory, module) if module else None
    if path is None:
        reason = f"there is no module {module}" if module else "the settings name no ROOT_URLCONF as a plain text"
        changes.manual_edits.append(ManualEdit("the URLs", reason, _URL_LINES))
        return
    try:
        source = PythonSource.read(editable(path, directory))
        insertions = _url_insertions(source)
    except UneditableError as error:
        changes.manual_edits.append(ManualEdit(shown(path, directory), str(error), _URL_LINES))
        return
    _add(changes, directory, source, path, insertions, _URL_LINES)


def _url_insertions(source: PythonSource) -> list[Insertion]:
    """Return the insertions of the URL, as the first one: behind a pattern for all paths nothing is found."""
    tree = source.tree
    names = {name: imported_as(tree, "django.urls", name) for name in ("path", "include")}
    imports = []
    missing = [name for name, bound in names.items() if bound is None]
    for name in missing:
        if name in bound_names(tree) and imported_as(tree, "django.conf.urls", name) is None:
            raise UneditableError(f"it uses the name {name} for something else")
    if len(missing) == 2:
        imports = [add_import(source, _URL_LINES[0])]
    elif missing:
        added = add_to_import(source, "django.urls", missing[0])
        imports = [added or add_import(source, f"from django.urls import {missing[0]}")]
    entry = f'{names["path"] or "path"}("broadcasting/", {names["include"] or "include"}("{_URLS}"))'
    bindings = [
        each for each in tree.body if isinstance(each, ast.Assign | ast.AnnAssign) and "urlpatterns" in targets(each)
    ]
    if not bindings:
        raise UneditableError("it has no urlpatterns that can be read without running it")
    value = bindings[-1].value
    target = _first_literal(value) if value is not None else None
    if target is not None:
        return [*imports, *prepend(source, target, entry)]
    return [*imports, source.after(bindings[-1], f"urlpatterns = [{entry}, *urlpatterns]")]


def _first_literal(value: ast.expr) -> ast.List | None:
    """Return the list at the beginning of a sum, or the value itself."""
    if isinstance(value, ast.List):
        return value
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return _first_literal(value.left)
    return None


def _plan_channels(settings: DjangoSettings, directory: Path, changes: Changes) -> None:
    """Add ``channels.py`` to the first app of the project itself, if no app has one."""
    folders = list(dict.fromkeys(_own_apps(settings, directory)))
    if not folders or any((folder / name).exists() for folder in folders for name in ("channels.py", "channels")):
        return
    path = folders[0] / "channels.py"
    changes.files.append(Change(path, _CHANNELS.encode(), what="routes of private channels, an example in comments"))


def _own_apps(settings: DjangoSettings, directory: Path) -> Iterator[Path]:
    """Yield the folders of the installed apps that are in the project."""
    for file in settings.files:
        for statement in file.source.tree.body:
            if any(name.endswith("APPS") for name in targets(statement)):
                for text in string_constants(statement):
                    folder = package_folder(directory, text.partition(".apps.")[0])
                    if folder is not None and _is_own_app(folder, directory):
                        yield folder


def _is_own_app(folder: Path, directory: Path) -> bool:
    """Return whether an app is in the project itself, and not behind a link to somewhere else."""
    if not any(is_file(folder / name) for name in ("__init__.py", "apps.py")):
        return False
    return folder.resolve().is_relative_to(directory.resolve())


def _add(
    changes: Changes,
    directory: Path,
    source: PythonSource,
    path: Path,
    insertions: list[Insertion],
    lines: tuple[str, ...],
) -> None:
    """Add a changed file; its lines for a person if it cannot be changed."""
    location = shown(path, directory)
    try:
        real = editable(path, directory)
        after = source.with_insertions(insertions)
    except UneditableError as error:
        changes.manual_edits.append(ManualEdit(location, str(error), lines))
        return
    manual_edit = ManualEdit(location, "", lines)
    changes.files.append(Change(real, after, before=source.data, encoding=source.encoding, manual_edit=manual_edit))
