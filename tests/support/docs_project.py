"""A project made from a page of the docs, as a reader makes it: in an empty folder, with nothing in the environment.

A code block whose first line is a comment with a path (``# shop/events.py``, ``<!-- templates/order.html -->``) is a
file of the project. Later blocks of the same path are added to the file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from support.raw_socket import PATIENCE

DOCS: Final = Path(__file__).parents[2] / "docs"
_BLOCK: Final = re.compile(
    r"^```\w+\n(?:# |// |<!-- |/\* )(?P<path>[\w./-]+\.\w+)\b[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
_INHERITED: Final = ("SOUNDPOST_", "REVERB_", "PUSHER_", "DJANGO_", "FLASK_", "PYTEST_", "PYTHONPATH")
"""Beginnings of variables that this process may have, and a reader's shell has not."""


class DocsProject:
    """A folder with the files of a page; commands run in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add_page(self, page: str, *, keep: Collection[str] = ()) -> list[str]:
        """Write the files of ``docs/PAGE``, and return their paths.

        Files of the folder are replaced, except those in ``keep``: blocks for these are added at the end.
        """
        written: list[str] = []
        for block in _BLOCK.finditer((DOCS / page).read_text()):
            name = block["path"]
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            is_added = name in written or name in keep
            with file.open("a" if is_added else "w") as stream:
                stream.write(block["text"])
            if name not in written:
                written.append(name)
        assert written, f"{page} has no code block whose first line is a path"
        return written

    def run(
        self, *arguments: str, environ: Mapping[str, str] | None = None, code: int | None = 0, timeout: float = 120
    ) -> str:
        """Run Python with these arguments in the folder, and return what it printed; fail unless it ends with ``code``.

        ``environ`` are variables that the page tells the reader to set. ``code`` None takes any exit code.
        """
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**clean_environment(), **(environ or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        output = done.stdout + done.stderr
        assert code is None or done.returncode == code, output
        return output

    def run_pytest(self, *arguments: str, passed: int | None = None, environ: Mapping[str, str] | None = None) -> str:
        """Run the tests in the folder, and return what pytest printed; fail unless all pass, ``passed`` in number."""
        output = self.run("-m", "pytest", "-q", *arguments, environ=environ)
        assert passed is None or re.search(rf"^{passed} passed", output, re.MULTILINE), output
        return output

    def start_django(self, site: str = "mysite", app: str = "shop") -> None:
        """Make a Django project and an app in the folder, as ``startproject`` and ``startapp`` do."""
        self.run("-m", "django", "startproject", site, ".")
        self.run("manage.py", "startapp", app)


def clean_environment() -> dict[str, str]:
    """Return the environment of a shell in which nothing was set for Soundpost or a framework, but for patience."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_INHERITED)} | PATIENCE


def count_of_tests(text: str) -> int:
    """Return the number of test functions in Python code."""
    return len(re.findall(r"^ *(?:async )?def test_", text, re.MULTILINE))
