"""Name under which this command was called, for commands to paste into a second shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def soundpost_command() -> str:
    """Return ``soundpost`` if the shell finds it, else its path, or ``python -m soundpost``."""
    called = Path(sys.argv[0])
    if called.name == "soundpost":
        found = shutil.which("soundpost")
        return "soundpost" if found and Path(found).absolute() == called.absolute() else shlex.quote(str(called))
    found = shutil.which("python")
    is_ours = found is not None and Path(found).absolute() == Path(sys.executable).absolute()
    return f"{'python' if is_ours else shlex.quote(sys.executable)} -m soundpost"
