"""Connection data for pages: options of laravel-echo at run time, and a script that sends ``X-Socket-ID``.

Options at run time, not at build time: a page that was built once works wherever the application is served.
"""

from soundpost.broadcasting.browser.echo_options import echo_options, echo_script, page_script
from soundpost.broadcasting.browser.html import Html
from soundpost.broadcasting.browser.libraries import LIBRARIES, LIBRARY_HEADERS, library_text, versioned
from soundpost.broadcasting.browser.page_positions import Positions

__all__ = [
    "LIBRARIES",
    "LIBRARY_HEADERS",
    "Html",
    "Positions",
    "echo_options",
    "echo_script",
    "library_text",
    "page_script",
    "versioned",
]
