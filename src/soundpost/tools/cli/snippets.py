"""Text for files of applications: the laravel-echo snippet, and a backend's ``.env`` lines."""

from __future__ import annotations

from soundpost.core.app_settings import AppSettings
from soundpost.tools.cli.addresses import ServerAddress


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
    """Return ``.env`` lines of an application that publishes to ``backend`` and whose pages connect to ``browser``.

    The two differ behind a proxy, whose port is 443 while the server's stays 8080.
    """
    path = f"\nSOUNDPOST_PATH={backend.path}" if backend.path else ""
    if backend == browser:
        vite = "\n".join(f'VITE_REVERB_{name}="${{REVERB_{name}}}"' for name in ("HOST", "PORT", "SCHEME"))
    else:
        vite = f"VITE_REVERB_HOST={browser.host}\nVITE_REVERB_PORT={browser.port}\nVITE_REVERB_SCHEME={browser.scheme}"
    return f"""\
SOUNDPOST_APP_ID={app.id}
SOUNDPOST_APP_KEY={app.key}
SOUNDPOST_APP_SECRET={app.secret}
# Where your application publishes to: the server itself, also when browsers reach it
# through a proxy. (Where the server listens is SOUNDPOST_SERVER_HOST and _PORT.)
SOUNDPOST_HOST={backend.host}
SOUNDPOST_PORT={backend.port}
SOUNDPOST_SCHEME={backend.scheme}{path}

# The same for Laravel
BROADCAST_CONNECTION=reverb
REVERB_APP_ID={app.id}
REVERB_APP_KEY={app.key}
REVERB_APP_SECRET={app.secret}
REVERB_HOST={backend.host}
REVERB_PORT={backend.port}
REVERB_SCHEME={backend.scheme}
# Where browsers connect: behind a proxy its public name, 443 and https.
VITE_REVERB_APP_KEY="${{REVERB_APP_KEY}}"
{vite}"""
