"""A headless Chromium, driven by playwright-core in a Node.js process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from support.node_process import NodeError, NodeProcess

EXECUTABLES: Final = (
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def find_chromium() -> str:
    """The executable: SOUNDPOST_CHROMIUM, or where Chromium and Chrome are usually installed."""
    for candidate in (os.environ.get("SOUNDPOST_CHROMIUM", ""), *EXECUTABLES):
        if candidate and Path(candidate).is_file():
            return candidate
    raise AssertionError(f"no Chromium: set SOUNDPOST_CHROMIUM, or install it at one of {', '.join(EXECUTABLES)}")


class Page:
    """One tab. Every method waits until what it is about is there."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self.name = name

    def count(self, selector: str, expected: int) -> None:
        """Wait until so many elements match; 0: until none does."""
        try:
            self._run("count", selector, expected)
        except NodeError as error:
            raise AssertionError(
                f"{self.name}: not {expected} of {selector}; the page shows {self._shown()}"
            ) from error

    def shows(self, selector: str, text: str) -> None:
        """Wait until an element has exactly this text."""
        try:
            self._run("shows", selector, text)
        except NodeError as error:
            shown = self._shown()
            raise AssertionError(f"{self.name}: {selector} is not {text!r}; the page shows {shown}") from error

    def text(self, selector: str) -> str:
        """The text of the first element that matches."""
        return str(self._run("text", selector)).strip()

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that match now."""
        return [text.strip() for text in self._run("texts", selector)]

    def fill(self, selector: str, value: str) -> None:
        """Type into a field."""
        self._run("fill", selector, value)

    def click(self, selector: str) -> None:
        """Click."""
        self._run("click", selector)

    def press(self, key: str) -> None:
        """Press a key, or keys at once such as ``Shift+Tab``."""
        self._run("press", key)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size, in pixels."""
        self._run("resize", width, height)

    def prefer(self, colours: str) -> None:
        """Prefer ``light`` or ``dark`` colours and reduced motion, as a system's settings do."""
        self._run("prefer", colours)

    def accessibility(self) -> list[str]:
        """Return what axe-core finds that is serious or worse."""
        return [str(finding) for finding in self._run("accessibility")]

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self._run("evaluate", script)

    def screenshot(self, file: Path, width: int = 1000, height: int = 620) -> None:
        """Save what is to be seen, in a window of this size (pixels), as a PNG of twice the resolution."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._run("screenshot", str(file), width, height)

    def reload(self) -> None:
        """Load the page again, as its user would."""
        self._run("reload")

    def close(self) -> None:
        """Close the tab."""
        self._run("close")

    def _shown(self) -> str:
        return " ".join(" ".join(self.texts("body")).split())

    def _run(self, command: str, *args: Any) -> Any:
        return self._browser.run(command, self.name, *args)


class Browser(NodeProcess):
    """The browser; pages of one profile share cookies."""

    def __init__(self) -> None:
        super().__init__("browser.mjs", {"executable": find_chromium()})
        self._pages = 0

    def open(self, url: str, profile: str = "default", *, any_certificate: bool = False) -> Page:
        """Open a tab. ``any_certificate``: the profile, if it is new, takes those of unknown authorities too."""
        self._pages += 1
        page = Page(self, f"page {self._pages}")
        self.run("open", page.name, url, profile, any_certificate)
        return page

    def traffic(self) -> list[dict[str, Any]]:
        """What all pages since the last reset have asked for (``url``) and got (``status``, ``headers``, ``body``)."""
        found: list[dict[str, Any]] = self.run("traffic")
        return found

    def complaints(self) -> list[str]:
        """What scripts of the pages failed with and what the browser blocked, since the last reset."""
        found: list[str] = self.run("complaints")
        return found

    def reset(self) -> None:
        """Close all tabs, forget all cookies, traffic and complaints."""
        self.run("reset")
