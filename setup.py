"""Build of the parts in C, and the page on PyPI; everything else about the package is in ``pyproject.toml``."""

import os
import runpy
import sysconfig

from setuptools import Extension, setup

IN_C = [
    Extension(
        f"soundpost.server.connections.{name}",
        [f"src/soundpost/server/connections/{name}.c"],
        optional=True,  # without a compiler the package installs all the same: each has a twin in Python
        py_limited_api=True,
    )
    for name in (
        "_fanout",  # twin in delivery.py
        "_wholerequest",  # twin in whole_request.py
    )
]
# The server does not run on Windows, and Python without the GIL has no limited API.
POSSIBLE = os.name == "posix" and not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    long_description=runpy.run_path("scripts/build_docs.py")["readme_for_pypi"](),
    long_description_content_type="text/markdown",
    ext_modules=IN_C if POSSIBLE else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if POSSIBLE else {},
)
