"""Facts on an installation, compiled or not, and the mark for classes that mypyc compiles.

The same source is installed as it is, or with the modules compiled that every message passes through: those that
``pyproject.toml`` lists below ``tool.soundpost``.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sysconfig
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**attributes: Any) -> Any:
        """Return a class as it is: the mark is for mypyc, which reads it in the source."""
        return lambda cls: cls


class Build(Struct, frozen=True):
    """Facts on an installation: its compiled parts, Python and event loop."""

    compiled_modules: int
    """The number of modules that mypyc has compiled; 0 for pure Python."""
    why_pure: str
    """Reason why no module is compiled; empty if some are."""
    c_extensions: list[str]
    """Names of the parts written in C that are there."""
    missing_c_extensions: list[str]
    """Names of those that are not there: their twins in Python run."""
    python: str
    """Implementation and version of Python, such as ``CPython 3.11.7``."""
    event_loop: str
    """The server's event loop and its version."""

    def summary(self) -> str:
        """Return the facts in one line, without reasons."""
        code = f"{self.compiled_modules} modules compiled" if self.compiled_modules else "pure Python"
        extensions = "without some C extensions" if self.missing_c_extensions else "with C extensions"
        return f"{code}, {extensions}, {self.python}, {self.event_loop}"

    def lines(self) -> list[str]:
        """Return the facts with their reasons, one line each."""
        modules = f"compiled by mypyc ({self.compiled_modules} modules)"
        missing = ", ".join(self.missing_c_extensions)
        extensions = f"without {missing}: no C compiler was found to build them" if missing else "all built"
        return [
            f"code: {modules if self.compiled_modules else f'pure Python: {self.why_pure}'}",
            f"C extensions: {extensions}",
            f"Python: {self.python}",
            f"event loop: {self.event_loop}",
        ]


@cache
def build() -> Build:
    """Return what runs here."""
    package = Path(__file__).parent
    suffix = EXTENSION_SUFFIXES[0]  # of modules for exactly this version of Python
    compiled = [path for path in package.rglob(f"*{suffix}") if not path.name.startswith("_")]
    written_in_c = {path.stem: path.parent for path in package.rglob("_*.pyi")}
    there = {
        name
        for name, folder in written_in_c.items()
        if any((folder / f"{name}{end}").exists() for end in EXTENSION_SUFFIXES)
    }
    return Build(
        compiled_modules=len(compiled),
        why_pure="" if compiled else _why_pure(),
        c_extensions=sorted(there),
        missing_c_extensions=sorted(written_in_c.keys() - there),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        event_loop=_event_loop(),
    )


def _why_pure() -> str:
    try:
        installed = importlib.metadata.distribution("soundpost")
    except importlib.metadata.PackageNotFoundError:
        return "it runs from a folder with the source, and is not installed"
    source = json.loads(installed.read_text("direct_url.json") or "{}")
    if source.get("dir_info", {}).get("editable"):
        return "it is installed editable, from a folder with the source"
    here = f"{platform.python_implementation()} {platform.python_version()} on {sysconfig.get_platform()}"
    return f"pip took a wheel that is not compiled for {here}, or built one without SOUNDPOST_COMPILE=1"


def _event_loop() -> str:
    try:
        return f"uvloop {importlib.metadata.version('uvloop')}"
    except importlib.metadata.PackageNotFoundError:
        return "none: the server does not run on this system"
