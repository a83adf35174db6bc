"""Text for files of applications: the laravel-echo snippet, and a backend's ``.env`` lines."""

from __future__ import annotations

from soundpost.core.app_settings import AppSettings
from soundpost.tools.cli.addresses import ServerAddress
from soundpost.wire.addresses import PublicUrl


def echo_snippet(key: str, browser: ServerAddress) -> str:
    """Return JavaScript that connects laravel-echo to ``browser``, the address for browsers."""
    path = f"\n    wsPath: '{browser.path}'," if browser.path else ""
    return f"""\
// npm install laravel-echo pusher-js
import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

window.Pusher = Pusher;
window.Echo = new Echo({{
    broadcaster: 'reverb',
    key: '{key}',
    wsHost: '{browser.host}',
    wsPort: {browser.port},
    wssPort: {browser.port},{path}
    forceTLS: {"true" if browser.is_tls else "false"},
    enabledTransports: ['ws', 'wss'],
    namespace: false, // event names as they are; with a Laravel backend leave this line out
}});"""


def dotenv_lines(app: AppSettings, backend: ServerAddress, browser: ServerAddress) -> str:
    """Return all ``.env`` lines of an application, Soundpost's and Laravel's."""
    return f"{soundpost_lines(app, backend, browser)}\n\n# The same for Laravel\n{laravel_lines(app, backend, browser)}"


def soundpost_lines(app: AppSettings, backend: ServerAddress, browser: ServerAddress) -> str:
    """Return ``.env`` lines of an application that publishes to ``backend`` and whose pages connect to ``browser``.

    The two differ behind a proxy, whose port is 443 while the server's stays 8080.
    """
    path = f"\nSOUNDPOST_PATH={backend.path}" if backend.path else ""
    public = f"\n# Where browsers connect: the proxy.\nSOUNDPOST_PUBLIC_URL={public_url(browser)}"
    return f"""\
SOUNDPOST_APP_ID={app.id}
SOUNDPOST_APP_KEY={app.key}
SOUNDPOST_APP_SECRET={app.secret}
# Where your application publishes: the server itself, past any proxy.
SOUNDPOST_HOST={backend.host}
SOUNDPOST_PORT={backend.port}
SOUNDPOST_SCHEME={backend.scheme}{path}{"" if backend == browser else public}"""


def laravel_lines(app: AppSettings, backend: ServerAddress, browser: ServerAddress) -> str:
    """Return ``.env`` lines of a Laravel application, whose frontend is built by Vite."""
    if backend == browser:
        vite = "\n".join(f'VITE_REVERB_{name}="${{REVERB_{name}}}"' for name in ("HOST", "PORT", "SCHEME"))
    else:
        vite = f"VITE_REVERB_HOST={browser.host}\nVITE_REVERB_PORT={browser.port}\nVITE_REVERB_SCHEME={browser.scheme}"
    hints = []
    if browser.path:
        hints.append(f"# Laravel has no variable for the path: write wsPath: '{browser.path}' in resources/js/echo.js")
    if backend.path:
        hints.append(f"# Laravel publishes without {backend.path}: Soundpost takes that too, but not through a proxy")
    path = "".join(f"\n{hint}" for hint in hints)
    return f"""\
BROADCAST_CONNECTION=reverb
REVERB_APP_ID={app.id}
REVERB_APP_KEY={app.key}
REVERB_APP_SECRET={app.secret}
REVERB_HOST={backend.host}
REVERB_PORT={backend.port}
REVERB_SCHEME={backend.scheme}
VITE_REVERB_APP_KEY="${{REVERB_APP_KEY}}"
{vite}{path}"""


def public_url(browser: ServerAddress) -> str:
    """Return the address at which browsers connect as ``public_url`` has it, without the scheme's own port."""
    return PublicUrl(*browser).url
