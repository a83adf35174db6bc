"""The names of the package: loaded when first used, and the same at run time as for type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import soundpost

# Read at run time: for type checkers the package has no such list.
NAMES = list(vars(soundpost)["__all__"])


def names_for_type_checkers() -> Iterator[str]:
    """Return the names in the block ``if TYPE_CHECKING`` of the package's ``__init__``."""
    tree = ast.parse(Path(str(soundpost.__file__)).read_text(encoding="utf-8"))
    for block in tree.body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name):
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom):
                    yield from (each.asname or each.name for each in statement.names)
                elif isinstance(statement, ast.Assign):
                    yield from (each.id for each in statement.targets if isinstance(each, ast.Name))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(soundpost, name) is not None
    assert name in dir(soundpost)


def test_type_checkers_see_the_same_names() -> None:
    assert {*names_for_type_checkers(), "SoundpostError", "__version__"} == set(NAMES)


def test_functions_are_those_of_the_broadcaster() -> None:
    assert soundpost.publish == soundpost.broadcast.publish
    assert soundpost.configure == soundpost.broadcast.configure


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'soundpost' has no attribute 'broadcats'"):
        soundpost.broadcats  # noqa: B018 - asked for only


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter loads for ``code``."""
    script = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_nothing_is_loaded_before_it_is_used() -> None:
    loaded = loaded_by("import soundpost; soundpost.__version__")
    assert {name for name in loaded if name.startswith("soundpost")} == {"soundpost", "soundpost.errors"}
    assert {name.partition(".")[0] for name in loaded} - {"soundpost"} <= sys.stdlib_module_names
    assert not loaded & {"asyncio", "logging", "socket", "inspect", "json"}


def test_the_functions_load_msgspec_and_no_http_library() -> None:
    loaded = loaded_by("import soundpost; soundpost.publish; soundpost.Event; soundpost.register_serializer")
    others = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert others <= {"soundpost", "soundpost__mypyc", "msgspec", "typing_extensions"}
    assert "asyncio" not in loaded


def test_webhooks_load_no_server_and_no_http_library() -> None:
    loaded = loaded_by("from soundpost import webhooks; webhooks.on; webhooks.verify")
    assert not {name.partition(".")[0] for name in loaded} & {"httpx", "redis", "starlette", "flask", "django"}
    assert not {".".join(name.split(".")[:2]) for name in loaded} & {
        "soundpost.server",
        "soundpost.backplane",
        "soundpost.core",
        "soundpost.asgi",
    }
