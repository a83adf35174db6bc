"""The built documentation in a browser: search, and nothing from anywhere else."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from support.browser import Browser
from support.harness import until
from support.pages import ROOT

FOUND: Final = "[...document.querySelectorAll('*')].map((each) => each.shadowRoot?.textContent ?? '').join('')"
"""Text of the results, which the search shows in a shadow tree."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built site."""
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, ROOT / "scripts/build_docs.py", folder], capture_output=True, check=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_page_is_found_and_nothing_is_asked_of_other_sites(browser: Browser, site: str) -> None:
    page = browser.open(f"{site}/")
    page.click(".md-search__button")
    page.fill("input[type=text]", "typing indicators")
    until(lambda: "Cookbook" in page.evaluate(FOUND), "the search finds the recipe")
    assert [each["url"] for each in browser.traffic() if not each["url"].startswith((site, "blob:", "data:"))] == []
    assert browser.complaints() == []


@pytest.mark.parametrize("path", ["", "quickstart/django/", "compatibility/", "configuration/"])
def test_a_page_fits_a_phone(browser: Browser, site: str, path: str, tmp_path: Path) -> None:
    page = browser.open(f"{site}/{path}")
    page.screenshot(tmp_path / "phone.png", 380, 800)
    assert page.evaluate("document.documentElement.scrollWidth <= 380")
