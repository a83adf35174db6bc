"""Build of the fan-out in C, and the page on PyPI; everything else about the package is in ``pyproject.toml``."""

import os
import runpy
import sysconfig

from setuptools import Extension, setup

FAN_OUT = Extension(
    "soundpost.server.connections._fanout",
    ["src/soundpost/server/connections/_fanout.c"],
    optional=True,  # without a compiler the package installs all the same; delivery.py has the loop in Python then
    py_limited_api=True,
)
# The server does not run on Windows, and Python without the GIL has no limited API.
POSSIBLE = os.name == "posix" and not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    long_description=runpy.run_path("scripts/build_docs.py")["readme_for_pypi"](),
    long_description_content_type="text/markdown",
    ext_modules=[FAN_OUT] if POSSIBLE else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if POSSIBLE else {},
)
