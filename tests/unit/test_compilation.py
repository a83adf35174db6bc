"""What ``soundpost --version --verbose`` and ``soundpost status`` tell of the installation."""

from __future__ import annotations

import platform

import pytest

from soundpost import compilation
from soundpost.compilation import Build, build
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]

COMPILED = Build(57, "", ["_fanout"], [], "CPython 3.13.1", "uvloop 0.23.0")
PURE = Build(
    0, "it is installed editable, from a folder with the source", [], ["_fanout"], "CPython 3.13.1", "uvloop 0.23.0"
)


def test_the_version_alone_and_with_what_runs(command_line: CommandLine) -> None:
    alone, all_of_it = command_line.run("--version"), command_line.run("--version", "--verbose")
    assert all_of_it.exit_code == 0
    assert all_of_it.stdout == alone.stdout + "".join(f"{line}\n" for line in build().lines())
    assert f"Python: {platform.python_implementation()} {platform.python_version()}" in all_of_it.stdout


@pytest.mark.parametrize("arguments", [["--verbose"], ["--verbose", "status"]])
def test_verbose_goes_with_version(command_line: CommandLine, arguments: list[str]) -> None:
    result = command_line.run(*arguments)
    assert result.exit_code == 2
    assert "soundpost --version --verbose" in result.output


def test_a_compiled_installation_says_so() -> None:
    assert COMPILED.lines() == [
        "code: compiled by mypyc (57 modules)",
        "C extensions: all built",
        "Python: CPython 3.13.1",
        "event loop: uvloop 0.23.0",
    ]
    assert COMPILED.summary() == "57 modules compiled, with C extensions, CPython 3.13.1, uvloop 0.23.0"


def test_a_pure_installation_says_why() -> None:
    assert PURE.lines()[:2] == [
        "code: pure Python: it is installed editable, from a folder with the source",
        "C extensions: without _fanout: no C compiler was found to build them",
    ]
    assert PURE.summary() == "pure Python, without some C extensions, CPython 3.13.1, uvloop 0.23.0"


def test_what_is_compiled_is_what_python_imports() -> None:
    from soundpost.core import channel, connection

    are_compiled = [
        module.__file__ is not None and not module.__file__.endswith(".py") for module in (channel, connection)
    ]
    assert are_compiled == [bool(build().compiled_modules)] * 2
    assert bool(build().why_pure) is not bool(build().compiled_modules)


def test_a_mark_for_mypyc_changes_nothing() -> None:
    class Marked:
        """A class."""

    assert compilation.mypyc_attr(allow_interpreted_subclasses=True)(Marked) is Marked
