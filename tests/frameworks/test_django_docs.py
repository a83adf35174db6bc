"""``docs/django.md``: its project, made as a person makes it, works; its tables are whole."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from soundpost.config import load
from soundpost.django.settings import OwnSettings
from support.docs_project import DocsProject
from support.harness import running_server
from support.newcomer import blocks_of
from support.pages import DOCS

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs/django.md").read_text()


def run(directory: Path, *arguments: str, code: int = 0) -> str:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SOUNDPOST_", "REVERB_", "DJANGO_"))
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=directory, env=kept, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``startproject``, ``startapp``, and the page's blocks added to the files that their first lines name."""
    directory = tmp_path_factory.mktemp("project")
    made = DocsProject(directory)
    made.start_django()
    made.add_page("django.md", keep=["mysite/settings.py"])
    run(directory, "-m", "soundpost", "init")
    (endpoint,) = re.findall(r"```toml\n(\[\[apps\.webhooks\]\].*?)```", PAGE, re.DOTALL)
    with (directory / "soundpost.toml").open("a") as file:
        file.write(f"\n{endpoint}")
    run(directory, "manage.py", "makemigrations", "shop")
    run(directory, "manage.py", "migrate", "--verbosity=0")
    return directory


def test_the_project_of_the_page_is_well_and_its_tests_pass(project: Path) -> None:
    assert "System check identified no issues" in run(project, "manage.py", "check")
    assert "Ran 3 tests" in run(project, "manage.py", "test", "--verbosity=1")


def test_the_page_has_the_entries_that_init_adds(project: Path) -> None:
    rows = re.findall(r"^\| `(mysite/\w+\.py)` \| `(\w+)` \| `(.+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 3
    for file, _, entry in rows:
        assert entry in (project / file).read_text().replace("'", '"')
        assert not any(entry in block.text for block in blocks_of(DOCS / "django.md") if block.place == file)
    assert "Nothing to do" in run(project, "manage.py", "soundpost", "init")
    assert (project / "soundpost.toml").exists()


def test_its_page_tells_where_to_connect(project: Path) -> None:
    script = (
        "from django.contrib.auth import get_user_model\n"
        "from django.test import Client\n"
        "from shop.models import Order\n"
        "user = get_user_model().objects.create_user('ann')\n"
        "order = Order.objects.create(customer=user)\n"
        "client = Client(SERVER_NAME='localhost')\n"
        "client.force_login(user)\n"
        "print(client.get(f'/orders/{order.pk}').content.decode())\n"
    )
    shown = run(project, "manage.py", "shell", "-c", script)
    assert '"wsHost": "ws.example.com", "wsPort": 443' in shown
    assert '"authEndpoint": "/broadcasting/auth"' in shown


def test_what_the_page_broadcasts_arrives(project: Path) -> None:
    (snippet,) = re.findall(r"```python\n(from django\.db import transaction.*?)```", PAGE, re.DOTALL)
    apps = load(environ={}, directory=project).settings.apps
    with running_server(apps=apps) as server, server.connect(apps[0].id) as client:
        client.subscribe("orders")
        toml = project / "soundpost.toml"
        before = toml.read_text()
        toml.write_text(before.replace("port = 8080", f"port = {server.port}"))
        try:
            sent = run(project, "manage.py", "shell", "-c", f"{snippet}\nbroadcast.publish('orders', 'Shipped', {{}})")
        finally:
            toml.write_text(before)
        assert "not sent" not in sent
        assert client.read_event() == {"event": "Shipped", "channel": "orders", "data": "{}"}


def test_the_page_has_every_check_setting_and_command() -> None:
    package = ROOT / "src/soundpost/django"
    ids = r"soundpost\.[EW]\d+"
    checks = "".join((package / name).read_text() for name in ("checks.py", "deployment_checks.py"))
    assert set(re.findall(ids, PAGE)) == set(re.findall(ids, checks))
    assert [each.name.upper() for each in fields(OwnSettings) if f"| `{each.name.upper()}` |" not in PAGE] == []
    commands = run(ROOT, "tests/frameworks/django_site/manage.py", "soundpost", "--help")
    known = set(re.findall(r"^    (\w+) +\w", commands, re.MULTILINE))
    assert known == set(re.findall(r"^\| `manage\.py soundpost (\w+)", PAGE, re.MULTILINE))


def test_the_example_says_how_many_lines_it_has() -> None:
    readme = (ROOT / "examples/django_chat/README.md").read_text()
    numbers = dict(re.findall(r"\[`chat/(\w+)\.py`\]\(\S+\) \| (\d+) \|", readme))
    counted = {name: str(lines_of_code(ROOT / f"examples/django_chat/chat/{name}.py")) for name in numbers}
    assert numbers == counted
    assert f"That is {sum(map(int, counted.values()))} lines of Python" in readme


def lines_of_code(file: Path) -> int:
    """Blank lines, comments and docstrings do not count."""
    text = file.read_text()
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            first = node.body[0]
            docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and number not in docstrings and line.strip()[0] != "#" for number, line in lines)
