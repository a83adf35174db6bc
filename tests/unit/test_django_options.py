"""Django's own options behind a subcommand of ``manage.py soundpost``."""

from __future__ import annotations

import pytest

from soundpost.django.management.django_options import with_django_options_first


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("trigger a b", "trigger a b"),
        ("trigger a b --settings=x", "--settings=x trigger a b"),
        ("start --settings x --port 1", "--settings x start --port 1"),
        ("start -v 2 --traceback --pythonpath=p", "-v 2 --traceback --pythonpath=p start"),
        ("start --no-color --force-color --skip-checks", "--no-color --force-color --skip-checks start"),
        ("start --settings", "--settings start"),
        ("trigger a b -- --traceback", "trigger a b -- --traceback"),
        ("listen a --key=--settings", "listen a --key=--settings"),
    ],
)
def test_django_s_options_come_first(given: str, expected: str) -> None:
    assert with_django_options_first(given.split()) == expected.split()
