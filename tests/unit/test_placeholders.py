"""Placeholder credentials: what documentation shows is known as such, and generated credentials never are."""

from __future__ import annotations

import pytest

from soundpost.config.credentials import generate
from soundpost.environment.placeholders import is_placeholder


@pytest.mark.parametrize(
    "value",
    [
        "your-app-secret",
        "your-app-key",
        "YOUR_APP_SECRET",
        "yourappsecret",
        "your secret here",
        "your-pusher-secret",
        "secret",
        " Secret ",
        "app-secret",
        "app_key",
        "changeme",
        "Change-Me",
        "change me please",
        "changeme123",
        "replace-with-a-secret",
        "reverb-secret",
        "<secret>",
        "{{ secret }}",
        "...",
        "xxxxxxxx",
        "insert-secret-here",
    ],
)
def test_an_example_of_documentation_is_a_placeholder(value: str) -> None:
    assert is_placeholder(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "s3cr3t-0f-mine",
        "yourth-9x81kq",
        "yoursql7kq",
        "secretary-of-mars-81",
        "changed-8827",
        "9f86d081",
        "-",
    ],
)
def test_any_other_value_is_not_a_placeholder(value: str) -> None:
    assert not is_placeholder(value)


def test_generated_credentials_are_not_placeholders() -> None:
    assert not any(is_placeholder(value) for _ in range(100) for value in generate())
