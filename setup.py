"""Build of the parts in C, and the page on PyPI; everything else about the package is in ``pyproject.toml``.

Two kinds of parts can be in C: those that are written in C, and the modules that every message passes through, which
mypyc compiles from their Python. The former are built wherever there is a compiler. The modules are compiled if the
environment says ``SOUNDPOST_COMPILE=1``: that takes minutes, and the wheel is for one version of Python.
"""

import importlib.util
import os
import runpy
import sys
import sysconfig
import tomllib
from pathlib import Path

from setuptools import Extension, setup

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
IN_C = [
    Extension(
        name,
        [f"src/{name.replace('.', '/')}.c"],
        optional=True,  # without a compiler the package installs all the same: each has a twin in Python
        py_limited_api=True,
    )
    for name in (
        "soundpost.server.connections._fanout",  # twin in delivery.py
        "soundpost.server.connections._wholerequest",  # twin in whole_request.py
        "soundpost.server.connections._socketcalls",  # twin in socket_calls.py
        "soundpost.wire._frames",  # twin in frames.py
    )
]
# The server does not run on Windows, and Python without the GIL has no limited API.
POSSIBLE = os.name == "posix" and not sysconfig.get_config_var("Py_GIL_DISABLED")

COMPILE = os.environ.get("SOUNDPOST_COMPILE", "")
if COMPILE not in ("", "0", "1"):
    sys.exit(f"SOUNDPOST_COMPILE is {COMPILE!r}: give 1 to compile modules with mypyc, or 0.")
if COMPILE == "1" and not POSSIBLE:
    sys.exit("SOUNDPOST_COMPILE=1: there is nothing to compile on Windows, nor for Python without the GIL.")
# pip asks by this command what a build needs, before anything is installed.
ASKED_WHAT_IS_NEEDED = "egg_info" in sys.argv
# mypyc knows what the dependencies' functions return only where they are installed beside it.
COMPILER = ["mypy>=2.4", *PROJECT["project"]["dependencies"]] if COMPILE == "1" and ASKED_WHAT_IS_NEEDED else []


def compiled_modules() -> list[Extension]:
    """Return what ``pyproject.toml`` lists below ``tool.soundpost``, for mypyc to compile; nothing unless asked."""
    if COMPILE != "1" or ASKED_WHAT_IS_NEEDED:
        return []
    if importlib.util.find_spec("mypyc") is None:
        sys.exit("SOUNDPOST_COMPILE=1 needs mypy, which is not installed here: pip install 'mypy>=2.4'.")
    from mypyc.build import mypycify

    names = PROJECT["tool"]["soundpost"]["compiled-modules"]
    extensions: list[Extension] = mypycify(
        # Modules that are not compiled may import what is not installed here, such as PyNaCl.
        ["--config-file", "pyproject.toml", "--no-warn-unused-ignores", "--follow-imports", "silent"]
        + [f"src/{name.replace('.', '/')}.py" for name in names],
        opt_level=os.environ.get("SOUNDPOST_COMPILE_OPTIMIZATION", "3"),
        debug_level="0",
        multi_file=True,  # a file for each module: the compiler takes less memory
        group_name="soundpost",
    )
    return extensions


setup(
    long_description=runpy.run_path("scripts/build_docs.py")["readme_for_pypi"](),
    long_description_content_type="text/markdown",
    ext_modules=[*IN_C, *compiled_modules()] if POSSIBLE else [],
    setup_requires=COMPILER,
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if POSSIBLE and COMPILE != "1" else {},
)
