"""Settings modules of a Django project, read without importing them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from soundpost.environment.toml_document import is_file
from soundpost.tools.setup.names import dotted_name, string_constants, targets
from soundpost.tools.setup.search import read_small
from soundpost.tools.setup.source import PythonSource, UneditableError

VARIABLE = "DJANGO_SETTINGS_MODULE"


class SettingsFile:
    """A settings module: its name, file and source."""

    def __init__(self, module: str, path: Path) -> None:
        """Read the module. Raises UneditableError."""
        self.module = module
        self.path = path
        self.source = PythonSource.read(path)

    def bindings(self, name: str) -> list[ast.stmt]:
        """Return the statements of the top level that bind a name, within blocks too."""
        return [
            statement
            for statement in self.source.tree.body
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and any(name in targets(each) for each in ast.walk(statement) if isinstance(each, ast.stmt))
        ]

    def value(self, name: str) -> ast.expr | None:
        """Return the last expression at the top level that a name is set to, and that does not extend the name."""
        found = None
        for statement in self.source.tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and name in targets(statement):
                value = statement.value
                if value is not None and not any(dotted_name(each) == name for each in _names(value)):
                    found = value
        return found


class DjangoSettings:
    """The settings modules of a project: the one that is named, and those whose names it takes with ``*``."""

    def __init__(self, module: str, directory: Path) -> None:
        """Read the modules below ``directory``. Raises UneditableError if the first one cannot be read."""
        path = module_file(directory, module)
        if path is None:
            raise UneditableError(f"there is no module {module}")
        self.files: list[SettingsFile] = []
        self._directory = directory
        self._read(module, path)

    def definition(self, name: str) -> tuple[SettingsFile, ast.expr] | None:
        """Return the file that defines a setting, and the setting's expression."""
        for file in self.files:
            value = file.value(name)
            if value is not None:
                return file, value
        return None

    def has_text(self, text: str) -> bool:
        """Return whether a setting has this text, or a list with this text."""
        return any(text in string_constants(file.source.tree) for file in self.files)

    def text(self, name: str) -> str | None:
        """Return a setting that is a plain text."""
        found = self.definition(name)
        value = found[1] if found else None
        return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None

    def base_dir(self) -> Path | None:
        """Return the folder ``BASE_DIR`` if it is computed from ``__file__``."""
        found = self.definition("BASE_DIR")
        return None if found is None else _folder(found[1], found[0].path)

    def _read(self, module: str, path: Path) -> None:
        if any(path == file.path for file in self.files) or len(self.files) > 20:
            return
        file = SettingsFile(module, path)
        self.files.append(file)
        for statement in file.source.tree.body:
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                name = _absolute(module, path, statement)
                below = module_file(self._directory, name)
                if below is not None:
                    try:
                        self._read(name, below)
                    except UneditableError:
                        continue


def settings_module(manage: Path) -> str | None:
    """Return the name of the settings module: that of the environment, else the default in ``manage.py``."""
    named = os.environ.get(VARIABLE, "")
    if named and module_file(manage.parent, named) is not None:  # else the variable is about another project
        return named
    try:
        tree = PythonSource(read_small(manage)).tree
    except UneditableError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call | ast.Assign):
            texts = list(string_constants(node))
            if texts[:1] == [VARIABLE] and len(texts) == 2:
                return texts[1]
    return None


def module_file(directory: Path, module: str) -> Path | None:
    """Return the file of a module below ``directory``."""
    folder = package_folder(directory, module)
    if folder is None:
        return None
    return next((path for path in (folder.with_suffix(".py"), folder / "__init__.py") if is_file(path)), None)


def package_folder(directory: Path, package: str) -> Path | None:
    """Return the folder that a dotted name means below ``directory``; None for a text that is not a dotted name."""
    parts = package.split(".")
    return directory.joinpath(*parts) if all(part.isidentifier() for part in parts) else None


def _absolute(module: str, path: Path, statement: ast.ImportFrom) -> str:
    """Return the full name of the module of ``from … import *`` in ``module``."""
    if not statement.level:
        return statement.module or ""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    kept = package[: len(package) - statement.level + 1]
    return ".".join([*kept, *([statement.module] if statement.module else [])])


def _names(node: ast.AST) -> Iterator[ast.expr]:
    for each in ast.walk(node):
        if isinstance(each, ast.Name | ast.Attribute):
            yield each


def _folder(value: ast.expr, file: Path) -> Path | None:
    """Return the folder that an expression over ``__file__`` means; None for one that is not understood."""
    if isinstance(value, ast.Name):
        return file.resolve() if value.id == "__file__" else None
    if isinstance(value, ast.Attribute):
        folder = _folder(value.value, file)
        return folder.parent if folder is not None and value.attr == "parent" else None
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Attribute) and value.value.attr == "parents":
        folder, index = _folder(value.value.value, file), value.slice
        if folder is not None and isinstance(index, ast.Constant) and isinstance(index.value, int):
            return folder.parents[index.value] if 0 <= index.value < len(folder.parents) else None
        return None
    if not isinstance(value, ast.Call):
        return None
    func = value.func
    called = func.attr if isinstance(func, ast.Attribute) else dotted_name(func)
    if called in ("resolve", "absolute") and isinstance(func, ast.Attribute):
        return _folder(func.value, file)
    if not value.args:
        return None
    inner = _folder(value.args[0], file)
    if called == "dirname":
        return inner.parent if inner is not None else None
    return inner if called in ("Path", "abspath", "realpath", "str", "fspath") else None
