"""``soundpost init`` in Django projects of many forms: settings, URLs, ``channels.py``, ``BASE_DIR``."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.errors import ConfigurationError
from soundpost.tools.setup.changes import Changes
from soundpost.tools.setup.frameworks import Framework
from soundpost.tools.setup.plan import plan_setup
from soundpost.tools.setup.project import find_project
from soundpost.tools.setup.writing import write

MANAGE = 'import os\n\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n'
SETTINGS = """\
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
INSTALLED_APPS = ["shop"]
MIDDLEWARE = ["a.B"]
ROOT_URLCONF = "mysite.urls"
"""
URLS = 'from django.urls import path\n\nurlpatterns = [path("", view)]\n'
APP = '"soundpost.django"'
MIDDLEWARE = '"soundpost.django.SocketIdMiddleware"'
ENTRY = 'path("broadcasting/", include("soundpost.django.urls"))'


@pytest.fixture(autouse=True)
def no_settings_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)


def project(directory: Path, **files: str) -> None:
    """Write a project; keywords replace or add files, ``mysite__settings`` is ``mysite/settings.py``."""
    given = {
        "manage": MANAGE,
        "mysite____init__": "",
        "mysite__settings": SETTINGS,
        "mysite__urls": URLS,
        "shop____init__": "",
        **files,
    }
    for name, text in given.items():
        if name == "mysite__settings" and any(other.startswith("mysite__settings__") for other in given):
            continue
        head, dunder, _ = name.partition("____init__")
        path = directory / (head.replace("__", "/") + ("/__init__" if dunder else "")).lstrip("/")
        path = path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")


def set_up(directory: Path) -> Changes:
    """Set the project up, and check that a second time finds nothing to do."""
    changes = plan_setup(find_project(directory)).changes
    for change in changes.files:
        write(change)
    again = plan_setup(find_project(directory)).changes
    assert again.files == []
    assert [each.location for each in again.manual_edits] == [each.location for each in changes.manual_edits]
    return changes


def names(changes: Changes, directory: Path) -> list[str]:
    return [str(change.path.relative_to(directory.resolve())) for change in changes.files]


def test_a_project_as_startproject_makes_it(tmp_path: Path) -> None:
    project(tmp_path)
    changes = set_up(tmp_path)
    assert names(changes, tmp_path) == ["soundpost.toml", "mysite/settings.py", "mysite/urls.py", "shop/channels.py"]
    assert changes.manual_edits == []
    assert (tmp_path / "mysite/settings.py").read_text() == SETTINGS.replace('["shop"]', f'["shop", {APP}]').replace(
        '["a.B"]', f'["a.B", {MIDDLEWARE}]'
    )
    assert (tmp_path / "mysite/urls.py").read_text() == (
        f'from django.urls import include, path\n\nurlpatterns = [{ENTRY}, path("", view)]\n'
    )
    channels = (tmp_path / "shop/channels.py").read_text()
    compile(channels.replace("# ", "").replace("#\n", "\n"), "channels.py", "exec")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("INSTALLED_APPS = ('shop',)", "INSTALLED_APPS = ('shop', 'soundpost.django')"),
        ("INSTALLED_APPS: list[str] = []", f"INSTALLED_APPS: list[str] = [{APP}]"),
        (
            "A = ['shop']\nINSTALLED_APPS = A + list(B)",
            f"A = ['shop']\nINSTALLED_APPS = A + list(B)\nINSTALLED_APPS = [*INSTALLED_APPS, {APP}]",
        ),
        ("INSTALLED_APPS = ['a'] + ['shop']", "INSTALLED_APPS = ['a'] + ['shop', 'soundpost.django']"),
        ("INSTALLED_APPS = A + ['shop']", "INSTALLED_APPS = A + ['shop', 'soundpost.django']"),
        (
            "THIRD_PARTY_APPS = ['x']\nINSTALLED_APPS = A + THIRD_PARTY_APPS",
            "THIRD_PARTY_APPS = ['x', 'soundpost.django']\nINSTALLED_APPS = A + THIRD_PARTY_APPS",
        ),
        (
            "INSTALLED_APPS = 'a', 'shop'",
            f"INSTALLED_APPS = 'a', 'shop'\nINSTALLED_APPS = [*INSTALLED_APPS, {APP}]",
        ),
        (
            "INSTALLED_APPS = a()\nif X:\n    INSTALLED_APPS += ['x']",
            f"INSTALLED_APPS = a()\nif X:\n    INSTALLED_APPS += ['x']\nINSTALLED_APPS = [*INSTALLED_APPS, {APP}]",
        ),
        (
            "INSTALLED_APPS = ['a']\nINSTALLED_APPS = ['b'] + INSTALLED_APPS",
            "INSTALLED_APPS = ['a', 'soundpost.django']\nINSTALLED_APPS = ['b'] + INSTALLED_APPS",
        ),
    ],
)
def test_forms_of_installed_apps(tmp_path: Path, before: str, after: str) -> None:
    project(tmp_path, mysite__settings=SETTINGS.replace('INSTALLED_APPS = ["shop"]', before))
    assert set_up(tmp_path).manual_edits == []
    assert f"\n{after}\nMIDDLEWARE" in (tmp_path / "mysite/settings.py").read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from django.urls import (\n    path,\n)\nurlpatterns = [\n    path('', v),\n]\n",
            "from django.urls import (\n    include,\n    path,\n)\n"
            f"urlpatterns = [\n    {ENTRY},\n    path('', v),\n]\n",
        ),
        (
            "from django.urls import re_path, include as inc\nurlpatterns = [re_path('.*', v)] + static()\n",
            "from django.urls import path, re_path, include as inc\n"
            f"urlpatterns = [{ENTRY.replace('include', 'inc')}, re_path('.*', v)] + static()\n",
        ),
        (
            "from django.urls import path, include\nurlpatterns = i18n_patterns(path('', v))",
            "from django.urls import path, include\nurlpatterns = i18n_patterns(path('', v))\n"
            f"urlpatterns = [{ENTRY}, *urlpatterns]",
        ),
        (
            '"""URLs."""\nurlpatterns = []\n',
            f'"""URLs."""\n\nfrom django.urls import include, path\nurlpatterns = [{ENTRY}]\n',
        ),
    ],
)
def test_forms_of_urlpatterns(tmp_path: Path, before: str, after: str) -> None:
    project(tmp_path, mysite__urls=before)
    assert set_up(tmp_path).manual_edits == []
    assert (tmp_path / "mysite/urls.py").read_text() == after


def test_settings_in_a_package_of_which_one_module_takes_the_other_s_names(tmp_path: Path) -> None:
    project(
        tmp_path,
        manage=MANAGE.replace("mysite.settings", "mysite.settings.local"),
        mysite__settings____init__="",
        mysite__settings__local="from .base import *\n\nINSTALLED_APPS += ['debug_toolbar']\n",
        mysite__settings__base=SETTINGS.replace(".parent.parent", ".parents[2]"),
    )
    assert names(set_up(tmp_path), tmp_path)[:2] == ["soundpost.toml", "mysite/settings/base.py"]
    assert "soundpost" not in (tmp_path / "mysite/settings/local.py").read_text()


def test_settings_that_take_the_names_of_a_module_in_the_package_above(tmp_path: Path) -> None:
    project(
        tmp_path,
        manage=MANAGE.replace("mysite.settings", "mysite.deploy.live"),
        mysite__deploy____init__="",
        mysite__deploy__live="from ..settings import *\n",
    )
    assert "mysite/settings.py" in names(set_up(tmp_path), tmp_path)


@pytest.mark.parametrize(
    "expression",
    [
        "Path(__file__).resolve().parent.parent",
        "pathlib.Path(__file__).absolute().parents[1]",
        "os.path.dirname(os.path.dirname(os.path.abspath(__file__)))",
        "str(Path(__file__).parent.parent)",
    ],
)
def test_the_credentials_are_in_base_dir(tmp_path: Path, expression: str) -> None:
    settings = SETTINGS.replace("Path(__file__).resolve().parent.parent", expression)
    project(tmp_path, mysite__settings=settings.replace(".parent.parent", ".parent"))
    if ".parent.parent" in expression:
        assert "mysite/soundpost.toml" in names(set_up(tmp_path), tmp_path)
    else:
        assert "soundpost.toml" in names(set_up(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"APP_ID": "1", "KEY": "k", "SECRET": "s"}', True),
        ('"http://k:s@127.0.0.1:8080/apps/1"', True),
        ('{"PORT": 9000}', False),
    ],
)
def test_credentials_in_the_settings_need_no_file(tmp_path: Path, given: str, said: bool) -> None:
    project(tmp_path, mysite__settings=f"{SETTINGS}SOUNDPOST = {given}\n")
    changes = set_up(tmp_path)
    assert ("soundpost.toml" not in names(changes, tmp_path)) is said
    assert any("settings.SOUNDPOST has credentials" in note for note in changes.notes) is said


@pytest.mark.parametrize(
    ("files", "location", "reason"),
    [
        ({"mysite__settings": "INSTALLED_APPS = ["}, "the settings, mysite.settings", "syntax error in line 1"),
        ({"mysite__settings": SETTINGS.replace("INSTALLED", "X")}, "mysite/settings.py", "sets no INSTALLED_APPS"),
        ({"mysite__settings": "from elsewhere import *\n"}, "mysite/settings.py", "sets no MIDDLEWARE"),
        ({"mysite__settings": SETTINGS.replace('["a.B"]', '["a.B"]; X = 1').replace("[", "f(").replace("]", ")")},
         "mysite/settings.py", "several statements"),
        ({"manage": MANAGE.replace("mysite", "nowhere")}, "the settings, nowhere.settings", "no module nowhere"),
        ({"manage": MANAGE.replace('"mysite.settings"', "NAME")}, "the settings", "does not say which settings"),
        ({"mysite__settings": SETTINGS.replace('"mysite.urls"', "URLS")}, "the URLs", "no ROOT_URLCONF as a plain"),
        ({"mysite__urls": "from .all import *\n"}, "mysite/urls.py", "no urlpatterns"),
        ({"mysite__urls": "from os import path\n\nurlpatterns = []\n"}, "mysite/urls.py", "the name path"),
        ({"mysite__urls": "urlpatterns = [\n"}, "mysite/urls.py", "syntax error"),
    ],
)  # fmt: skip
def test_what_cannot_be_edited_safely_is_left_for_a_person(
    tmp_path: Path, files: dict[str, str], location: str, reason: str
) -> None:
    project(tmp_path, **files)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    changes = set_up(tmp_path)
    (left,) = [each for each in changes.manual_edits if each.location == location and reason in each.reason]
    assert "soundpost" in "".join(left.lines)
    changed = {change.path for change in changes.files}
    if (
        left.location.startswith("mysite/")
        and len([each for each in changes.manual_edits if each.location == location]) == 1
    ):
        path = tmp_path / left.location
        assert path in changed or path.read_bytes() == before[path]


def test_a_read_only_file_and_a_link_to_the_outside_are_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "project"
    directory.mkdir()
    project(directory)
    outside = tmp_path / "urls.py"
    (directory / "mysite/urls.py").rename(outside)
    (directory / "mysite/urls.py").symlink_to(outside)
    (directory / "mysite/settings.py").chmod(0o444)
    changes = set_up(directory)
    reasons = {each.location: each.reason for each in changes.manual_edits}
    assert reasons["mysite/settings.py"] == "it is read-only"
    assert reasons["mysite/urls.py"] == f"it is a link to {outside}, outside of this folder"
    assert outside.read_text() == URLS
    assert (directory / "mysite/urls.py").is_symlink()


def test_a_link_within_the_project_stays_a_link_and_the_mode_is_kept(tmp_path: Path) -> None:
    project(tmp_path)
    settings = tmp_path / "mysite/settings.py"
    settings.rename(tmp_path / "mysite/real.py")
    (tmp_path / "mysite/real.py").chmod(0o750)
    settings.symlink_to("real.py")
    set_up(tmp_path)
    assert settings.is_symlink()
    assert APP in (tmp_path / "mysite/real.py").read_text()
    assert (tmp_path / "mysite/real.py").stat().st_mode & 0o777 == 0o750


def test_urls_that_another_module_has_are_not_added_again(tmp_path: Path) -> None:
    project(tmp_path, mysite__api=f"from django.urls import include, path\n\nurlpatterns = [{ENTRY}]\n")
    assert "mysite/urls.py" not in names(set_up(tmp_path), tmp_path)


def test_the_environment_names_the_settings_unless_they_are_another_project_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, mysite__other=SETTINGS)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite.other")
    assert "mysite/other.py" in names(plan_setup(find_project(tmp_path)).changes, tmp_path)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "elsewhere.settings")
    assert "mysite/settings.py" in names(plan_setup(find_project(tmp_path)).changes, tmp_path)


def test_a_project_in_a_folder_below(tmp_path: Path) -> None:
    project(tmp_path / "backend")
    found = find_project(tmp_path)
    assert (found.framework, found.directory) == (Framework.DJANGO, tmp_path / "backend")
    project(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="backend and other are both Django projects"):
        find_project(tmp_path)


@pytest.mark.parametrize("form", ["path", "link", "long"])
def test_an_app_outside_of_the_project_gets_no_file(tmp_path: Path, form: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "__init__.py").touch()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "linked").symlink_to(outside)
    app = {"path": str(outside), "link": "linked", "long": "a" * 5_000}[form]
    project(inside, mysite__settings=SETTINGS.replace('"shop"', f'"{app}"'))
    set_up(inside)
    assert [path.name for path in outside.iterdir()] == ["__init__.py"]
