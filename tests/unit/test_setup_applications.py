"""``soundpost init`` in FastAPI, Starlette, Flask, Quart and Litestar applications, and which framework it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.errors import ConfigurationError
from soundpost.tools.setup.changes import Changes
from soundpost.tools.setup.frameworks import Framework
from soundpost.tools.setup.plan import plan_setup
from soundpost.tools.setup.project import find_project
from soundpost.tools.setup.writing import write

FASTAPI_IMPORT = "from soundpost.fastapi import Soundpost\n"
ROUTER = (
    "# Put your own dependency here: it returns the user, who may then see private channels.\n"
    "app.include_router(sp.router(user=lambda: None))\n"
)


def set_up(directory: Path, name: str, text: str, wanted: Framework | None = None) -> Changes:
    """Set up a folder with one module, and check that a second time finds nothing to do."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    changes = plan_setup(find_project(directory, wanted)).changes
    for change in changes.files:
        write(change)
    again = plan_setup(find_project(directory, wanted)).changes
    assert again.files == []
    assert again.manual_edits == changes.manual_edits
    return changes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from fastapi import FastAPI\n\napp = FastAPI()\n",
            f"from fastapi import FastAPI\n{FASTAPI_IMPORT}\nsp = Soundpost.from_env()\n"
            f"app = FastAPI(lifespan=sp.lifespan)\n{ROUTER}",
        ),
        (
            "import fastapi as fa\napi: fa.FastAPI = fa.FastAPI(\n    title='x',\n    lifespan=own,\n)\n",
            f"import fastapi as fa\n{FASTAPI_IMPORT}sp = Soundpost.from_env()\n"
            f"api: fa.FastAPI = fa.FastAPI(\n    title='x',\n    lifespan=sp.lifespan_with(own),\n)\n"
            f"{ROUTER.replace('app.', 'api.')}",
        ),
        (
            "from starlette.applications import Starlette\napp = Starlette(True, routes)\n",
            "from starlette.applications import Starlette\n"
            "from soundpost.starlette import SocketIdMiddleware, Soundpost\nsp = Soundpost.from_env()\n"
            "app = Starlette(True, routes, lifespan=sp.lifespan)\napp.add_middleware(SocketIdMiddleware)\n"
            "# Put your own function for 'user': it returns the user, who may then see private channels.\n"
            "app.routes[:0] = sp.routes(user=lambda request: None)\n",
        ),
        (
            "from starlette.applications import Starlette\napp = Starlette(\n    routes=[\n        a,\n    ]\n)\n",
            "from starlette.applications import Starlette\n"
            "from soundpost.starlette import SocketIdMiddleware, Soundpost\nsp = Soundpost.from_env()\n"
            "# Put your own function for 'user': it returns the user, who may then see private channels.\n"
            "app = Starlette(\n    routes=[\n        *sp.routes(user=lambda request: None),\n        a,\n    ],\n"
            "    lifespan=sp.lifespan,\n)\napp.add_middleware(SocketIdMiddleware)\n",
        ),
        (
            "from flask import Flask\napplication = Flask(__name__)\n\n\n@application.get('/')\ndef a(): return ''\n",
            "from flask import Flask\nfrom soundpost.flask import Soundpost\napplication = Flask(__name__)\n"
            "sp = Soundpost(application)\n\n\n@application.get('/')\ndef a(): return ''\n",
        ),
        (
            "import flask\napp = flask.Flask(__name__)\napp.config['A'] = 1\napp.config.update(B=2)\n"
            "app.secret_key = 'x'\nprint()\napp.config['C'] = 1\n",
            "import flask\nfrom soundpost.flask import Soundpost\napp = flask.Flask(__name__)\napp.config['A'] = 1\n"
            "app.config.update(B=2)\napp.secret_key = 'x'\nsp = Soundpost(app)\nprint()\napp.config['C'] = 1\n",
        ),
        (
            "from quart import Quart\napp = Quart(__name__)\n@sp.user_loader\ndef f(sp): pass\n",
            "from quart import Quart\nfrom soundpost.quart import Soundpost\napp = Quart(__name__)\n"
            "sp = Soundpost(app)\n@sp.user_loader\ndef f(sp): pass\n",
        ),
        (
            "from flask import Flask\nclass Shop(Flask): pass\napp = Shop('shop')",
            "from flask import Flask\nfrom soundpost.flask import Soundpost\nclass Shop(Flask): pass\n"
            "app = Shop('shop')\nsp = Soundpost(app)",
        ),
        (
            "from quart import Quart\r\napp = Quart(__name__)\r\n",
            "from quart import Quart\r\nfrom soundpost.quart import Soundpost\r\napp = Quart(__name__)\r\n"
            "sp = Soundpost(app)\r\n",
        ),
        (
            "from litestar import Litestar\napp = Litestar([], plugins=[Other()])\n",
            "from litestar import Litestar\nfrom soundpost.litestar import SoundpostPlugin\n"
            "app = Litestar([], plugins=[Other(), SoundpostPlugin()])\n",
        ),
    ],
)
def test_forms_of_applications(tmp_path: Path, before: str, after: str) -> None:
    assert set_up(tmp_path, "main.py", before).manual_edits == []
    assert (tmp_path / "main.py").read_bytes().decode() == after


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def create_app():\n    app = Flask(__name__)\n    return app\n", "is made in create_app"),
        ("app = Flask('a')\nother = Flask('b')\n", "several applications: app, other"),
        ("if True:\n    app = Flask(__name__)\n", "within another expression or a block"),
        ("app = Proxy(Flask(__name__))\n", "within another expression or a block"),
        ("app = FastAPI(); x = 1\n", "several statements"),
        ("app = FastAPI(**options)\n", "only known at run time"),
        ("app = FastAPI(lifespan=None)\n", "says lifespan=None"),
        ("app = FastAPI(on_startup=[f])\n", "on_startup would no longer be called"),
        ("app = FastAPI()\n@app.on_event('startup')\ndef f(): pass\n", "on_event in main.py would no longer"),
        ("class Shop(FastAPI): pass\napp = Shop()\n", "of a class of its own"),
        ("if 1:\n    sp = 1\napp = Flask(__name__)\n", "the name sp for something else"),
        ("SoundpostPlugin = 1\napp = Litestar([])\n", "the name SoundpostPlugin for something else"),
        ("app = Litestar([], plugins=found())\n", "plugins in line 2 is not a list"),
    ],
)
def test_what_cannot_be_edited_safely_is_left_for_a_person(tmp_path: Path, text: str, reason: str) -> None:
    framework = next(name for name in ("Flask", "FastAPI", "Litestar") if name in text)
    text = f"from {framework.lower()} import {framework}\n{text}"
    (left,) = set_up(tmp_path, "main.py", text).manual_edits
    assert reason in left.reason
    assert left.location == "main.py"
    assert f"from soundpost.{framework.lower()} import" in left.lines[0]
    assert ("sp.init_app(app)" in "\n".join(left.lines)) is (
        "create_app" in text or "    app" in text or "Proxy" in text
    )
    assert (tmp_path / "main.py").read_text() == text


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "import spacy as sp\nfrom fastapi import FastAPI\napp = FastAPI()\n",
            ["sp_ = Soundpost.from_env()", "app = FastAPI(lifespan=sp_.lifespan)"],
        ),
        (
            "from flask import Flask\nsp = sp_ = 1\napp = Flask(__name__)\n",
            ["from soundpost.flask import Soundpost", "sp__ = Soundpost(app)"],
        ),
        (
            "from flask import Flask\nclass Soundpost: pass\napp = Flask(__name__)\n",
            ["from soundpost.flask import Soundpost as Soundpost_", "sp = Soundpost_(app)"],
        ),
        (
            "from litestar import Litestar\nSoundpostPlugin = 1\napp = Litestar([])\n",
            ["from soundpost.litestar import SoundpostPlugin as SoundpostPlugin_"],
        ),
    ],
)
def test_the_lines_to_add_take_names_that_are_free(tmp_path: Path, text: str, lines: list[str]) -> None:
    (left,) = set_up(tmp_path, "main.py", text).manual_edits
    assert set(lines) <= set(left.lines)


def test_a_module_that_cannot_be_parsed_is_likelier_than_one_further_below(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("from flask import Flask\napp = Flask(\n")
    (left,) = set_up(tmp_path, "tools/mock.py", FLASK).manual_edits
    assert (left.location, left.reason) == ("tools/mock.py", "the application may be in main.py")


def test_a_framework_that_is_named_but_not_there(tmp_path: Path) -> None:
    (left,) = set_up(tmp_path, "notes.txt", "", Framework.FLASK).manual_edits
    assert (left.location, left.reason) == ("the module with your application", "no Flask application was found here")


def test_an_extension_in_another_module_is_enough(tmp_path: Path) -> None:
    (tmp_path / "extensions.py").write_text("from soundpost.flask import Soundpost\nsp = Soundpost()\n")
    changes = set_up(tmp_path, "app.py", "from flask import Flask\napp = Flask(__name__)\n")
    assert [change.path.name for change in changes.files] == ["soundpost.toml"]


# Which framework

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


def found(directory: Path, **files: str) -> tuple[Framework, list[str]]:
    for name, text in files.items():
        path = directory / (name.replace("__", "/").replace("venv/", ".venv/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project = find_project(directory)
    return project.framework, [str(path.relative_to(directory)) for path in project.files]


def test_the_nearest_application_counts(tmp_path: Path) -> None:
    assert found(tmp_path, zebra=FLASK, tools__mock=FASTAPI) == (Framework.FLASK, ["zebra.py"])


def test_usual_names_come_first(tmp_path: Path) -> None:
    assert found(tmp_path, admin=FLASK, wsgi=FLASK, main=FLASK)[1] == ["main.py", "wsgi.py", "admin.py"]


def test_a_package_is_imported_from_the_folder_above_it(tmp_path: Path) -> None:
    for name in ("backend/app/__init__.py", "backend/app/api/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    changes = set_up(tmp_path, "backend/app/main.py", FASTAPI)
    assert {change.path for change in changes.files} == {
        tmp_path / "backend/soundpost.toml",
        tmp_path / "backend/app/main.py",
    }
    (tmp_path / "backend/app/__init__.py").unlink()
    assert find_project(tmp_path).directory == tmp_path
    assert find_project(tmp_path / "backend/app").directory == tmp_path / "backend/app"


def test_equally_likely_modules_are_not_edited(tmp_path: Path) -> None:
    (tmp_path / "admin.py").write_text(FLASK)
    (left,) = set_up(tmp_path, "shop.py", FLASK).manual_edits
    assert (left.location, left.reason) == ("admin.py or shop.py", "each of them makes an application")


def test_other_people_s_code_and_tests_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "rented").mkdir()
    (tmp_path / "rented/pyvenv.cfg").touch()
    files = {
        "rented__app": FLASK,
        "node_modules__a__app": FLASK,
        "venv__app": FLASK,
        "tests__app": FLASK,
        "test_app": FLASK,
        "a__b__c__d__e__app": FLASK,
        "broken": "from flask import Flask\napp = Flask(",
    }
    assert found(tmp_path, **files) == (Framework.NONE, [])


def test_a_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    assert found(tmp_path, elsewhere__app=FLASK) == (Framework.FLASK, ["elsewhere/app.py"])


def test_several_frameworks_must_be_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        found(tmp_path, app=FLASK, main=FASTAPI)
    assert str(error.value) == (
        "FastAPI (main.py) and Flask (app.py) are both here: say which one to set up, "
        "with --framework fastapi or --framework flask"
    )
    assert find_project(tmp_path, Framework.FLASK).files == (tmp_path / "app.py",)
    assert find_project(tmp_path, Framework.NONE).files == ()


def test_composer_json_without_laravel_is_no_framework(tmp_path: Path) -> None:
    for text in ("[]", "{", '{"require": []}', '{"require": {"symfony/console": "*"}}'):
        (tmp_path / "composer.json").write_text(text)
        assert find_project(tmp_path).framework is Framework.NONE
    (tmp_path / "composer.json").write_text('{"require": {"laravel/framework": "^12"}}')
    assert find_project(tmp_path).framework is Framework.LARAVEL
