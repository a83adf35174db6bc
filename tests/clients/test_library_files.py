"""The browser libraries of the package: those of the tests' lock file, with their licences, served by all doors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

import soundpost
from soundpost.broadcasting.browser.echo_options import echo_script, page_script
from soundpost.broadcasting.browser.libraries import FOLDER, LIBRARIES, Library, library_text, versioned

CLIENTS: Final = Path(__file__).parent
LOCKED: Final = json.loads((CLIENTS / "package-lock.json").read_text())["packages"]


OTHERS: Final = [each for each in LIBRARIES if each.package != "soundpost-resume"]
"""The libraries that are not the project's own."""


@pytest.mark.parametrize("library", OTHERS, ids=lambda each: each.package)
def test_libraries_are_those_of_the_lock_file(library: Library) -> None:
    assert LOCKED[f"node_modules/{library.package}"]["version"] == library.version
    original = (CLIENTS / "node_modules" / library.package / library.path_in_package).read_text()
    kept = [line for line in original.splitlines() if not line.startswith("//# sourceMappingURL=")]
    assert library_text(library.file).splitlines() == kept


def test_licences_name_every_library() -> None:
    text = (FOLDER / "LICENSES").read_text()
    for library in OTHERS:
        assert f"{library.file} is {library.package} (" in text
    assert text.count("Permission is hereby granted, free of charge") == len(OTHERS)


def test_urls_change_with_the_version() -> None:
    assert versioned("/realtime/") == [
        "/realtime/pusher.min.js?v=8.6.0",
        "/realtime/echo.iife.js?v=2.5.0",
        f"/realtime/soundpost-resume.min.js?v={soundpost.__version__}",
    ]


def test_no_other_file_is_served() -> None:
    with pytest.raises(KeyError):
        library_text("LICENSES")


def test_libraries_are_loaded_before_the_options_with_the_page_s_nonce() -> None:
    html = echo_script({}, nonce="n1", libraries=["/a.js?v=1&w=2"])
    assert html.startswith('<script nonce="n1" src="/a.js?v=1&amp;w=2"></script>\n<script id="soundpost-config"')


def test_the_script_can_stand_in_a_page() -> None:
    assert "<" not in page_script()  # no tag in it ends or hides the script's own
