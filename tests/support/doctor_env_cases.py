"""``.env`` files that contradict themselves, and the ids they must be reported by."""

from __future__ import annotations

from typing import Final, NamedTuple

BACKEND: Final = """\
APP_ENV=production
BROADCAST_CONNECTION=reverb
REVERB_APP_ID=1
REVERB_APP_KEY=app-key
REVERB_APP_SECRET=river-8-lantern
REVERB_HOST=127.0.0.1
REVERB_PORT=8080
REVERB_SCHEME=http
"""
FRONTEND: Final = """\
VITE_REVERB_APP_KEY="${REVERB_APP_KEY}"
VITE_REVERB_HOST=ws.example.com
VITE_REVERB_PORT=443
VITE_REVERB_SCHEME=https
"""
OWN_FRONTEND: Final = FRONTEND.replace('"${REVERB_APP_KEY}"', "app-key")
"""In a file of its own, which cannot refer to the backend's."""
LARAVEL: Final = """\
APP_NAME=Laravel
APP_ENV=local
APP_URL=http://localhost
BROADCAST_CONNECTION=reverb
REVERB_APP_ID=264521
REVERB_APP_KEY=xhq0bcqtvy9vz0lhlqoh
REVERB_APP_SECRET=zjzapuyklivdhmoqbcbq
REVERB_HOST="localhost"
REVERB_PORT=8080
REVERB_SCHEME=http

VITE_APP_NAME="${APP_NAME}"
VITE_REVERB_APP_KEY="${REVERB_APP_KEY}"
VITE_REVERB_HOST="${REVERB_HOST}"
VITE_REVERB_PORT="${REVERB_PORT}"
VITE_REVERB_SCHEME="${REVERB_SCHEME}"
"""
"""What ``php artisan install:broadcasting`` writes."""
PYTHON: Final = """\
SOUNDPOST_APP_ID=1
SOUNDPOST_APP_KEY=app-key
SOUNDPOST_APP_SECRET=river-8-lantern
SOUNDPOST_HOST=127.0.0.1
SOUNDPOST_PORT=8080
SOUNDPOST_SCHEME=http
SOUNDPOST_PUBLIC_HOST=ws.example.com
SOUNDPOST_PUBLIC_PORT=443
SOUNDPOST_PUBLIC_SCHEME=https
"""
ECHO: Final = """\
window.Echo = new Echo({
    broadcaster: 'reverb',
    key: import.meta.env.VITE_REVERB_APP_KEY,
    wsHost: import.meta.env.VITE_REVERB_HOST,
    wsPort: import.meta.env.VITE_REVERB_PORT ?? 80,
    wssPort: import.meta.env.VITE_REVERB_PORT ?? 443,
    forceTLS: (import.meta.env.VITE_REVERB_SCHEME ?? 'https') === 'https',
    enabledTransports: ['ws', 'wss'],
});
"""


class Case(NamedTuple):
    """Files that are wrong in one way."""

    code: str
    set_up: str
    files: dict[str, str]


def _both(old: str = "", new: str = "") -> dict[str, str]:
    """A backend's and a frontend's settings in one file, with one change."""
    text = BACKEND + FRONTEND
    assert old in text
    return {".env": text.replace(old, new) if old else text + new}


CASES: Final = [
    Case("env-secret-in-frontend", "`VITE_REVERB_APP_SECRET`", _both(new="VITE_REVERB_APP_SECRET=river-8-lantern\n")),
    Case(
        "env-secret-in-frontend",
        "the secret under a name that does not tell",
        _both(new="VITE_TOKEN=river-8-lantern\n"),
    ),
    Case(
        "env-frontend-key-differs",
        "another `VITE_REVERB_APP_KEY`, in the frontend's own file",
        {"backend.env": BACKEND, "frontend.env": FRONTEND.replace("${REVERB_APP_KEY}", "old-key")},
    ),
    Case(
        "env-frontend-internal-port",
        '`VITE_REVERB_PORT="${REVERB_PORT}"`, which is 8080, with https',
        _both("VITE_REVERB_PORT=443", 'VITE_REVERB_PORT="${REVERB_PORT}"'),
    ),
    Case(
        "env-frontend-localhost",
        "`VITE_REVERB_HOST=localhost` with `APP_ENV=production`",
        _both("VITE_REVERB_HOST=ws.example.com", "VITE_REVERB_HOST=localhost"),
    ),
    Case(
        "env-frontend-localhost",
        "`VITE_REVERB_HOST=localhost` for a page at https://shop.example.com",
        {
            ".env": BACKEND.replace("APP_ENV=production", "APP_URL=https://shop.example.com")
            + FRONTEND.replace("ws.example.com", "localhost")
        },
    ),
    Case(
        "env-frontend-no-scheme",
        "no `VITE_REVERB_SCHEME`, for a server without TLS",
        {".env": LARAVEL.replace('VITE_REVERB_SCHEME="${REVERB_SCHEME}"\n', "")},
    ),
    Case(
        "env-frontend-empty",
        '`VITE_REVERB_HOST="${REVERB_HSOT}"`, a name that is not set',
        _both("VITE_REVERB_HOST=ws.example.com", 'VITE_REVERB_HOST="${REVERB_HSOT}"'),
    ),
    Case(
        "env-scheme-port-mismatch",
        "`VITE_REVERB_SCHEME=http` with port 443",
        _both("VITE_REVERB_SCHEME=https", "VITE_REVERB_SCHEME=http"),
    ),
    Case(
        "env-backend-https-internal-port",
        "`REVERB_SCHEME=https` with `REVERB_PORT=8080`",
        _both("REVERB_SCHEME=http\n", "REVERB_SCHEME=https\n"),
    ),
    Case(
        "env-ports-swapped",
        "`REVERB_SERVER_PORT=443` with `REVERB_PORT=8080`",
        _both(new="REVERB_SERVER_PORT=443\n"),
    ),
    Case("env-wildcard-host", "`REVERB_HOST=0.0.0.0`", _both("REVERB_HOST=127.0.0.1", "REVERB_HOST=0.0.0.0")),
    Case(
        "env-host-not-a-name",
        "`VITE_REVERB_HOST=https://ws.example.com/`",
        _both("VITE_REVERB_HOST=ws.example.com", "VITE_REVERB_HOST=https://ws.example.com/"),
    ),
    Case("env-not-a-port", "`REVERB_PORT=http`", _both("\nREVERB_PORT=8080", "\nREVERB_PORT=http")),
    Case(
        "env-not-a-scheme",
        "`VITE_REVERB_SCHEME=wss`",
        _both("VITE_REVERB_SCHEME=https", "VITE_REVERB_SCHEME=wss"),
    ),
    Case(
        "env-quotes",
        "typographic quotes around the secret",
        _both("REVERB_APP_SECRET=river-8-lantern", "REVERB_APP_SECRET=“river-8-lantern”"),
    ),
    Case("env-quotes", "one quote too few", _both("REVERB_HOST=127.0.0.1", 'REVERB_HOST="127.0.0.1')),
    Case("env-quotes", "a space within quotes", _both("=river-8-lantern", '=" river-8-lantern"')),
    Case("env-set-twice", "`REVERB_PORT` in two lines", _both(new="REVERB_PORT=8081\n")),
    Case(
        "env-credentials-differ",
        "another secret in the server's file",
        {"app.env": BACKEND, "server.env": PYTHON.replace("river-8-lantern", "old-secret")},
    ),
    Case(
        "env-credentials-missing",
        "no `REVERB_APP_ID`",
        _both("REVERB_APP_ID=1\n", ""),
    ),
    Case(
        "env-broadcaster-off",
        "`BROADCAST_CONNECTION=log`",
        _both("BROADCAST_CONNECTION=reverb", "BROADCAST_CONNECTION=log"),
    ),
    Case(
        "env-broadcaster-off",
        "`BROADCAST_CONNECTION=null`",
        _both("BROADCAST_CONNECTION=reverb", "BROADCAST_CONNECTION=null"),
    ),
    Case(
        "env-broadcaster-off",
        "`SOUNDPOST_BROADCAST_DRIVER=memory`",
        {".env": f"{PYTHON}SOUNDPOST_BROADCAST_DRIVER=memory\n"},
    ),
    Case(
        "env-public-differs",
        "`SOUNDPOST_PUBLIC_HOST` and `VITE_REVERB_HOST` differ",
        {".env": PYTHON.replace("PUBLIC_HOST=ws.example.com", "PUBLIC_HOST=rt.example.com") + OWN_FRONTEND},
    ),
    Case(
        "env-public-differs",
        "`SOUNDPOST_PUBLIC_URL` and `VITE_REVERB_PORT` differ",
        {".env": f"SOUNDPOST_PUBLIC_URL=https://ws.example.com:8443\n{OWN_FRONTEND}"},
    ),
    Case(
        "secret-not-filled-in",
        "the printed lines with `<secret-of-app-1>`",
        _both("APP_SECRET=river-8-lantern", "APP_SECRET=<secret-of-app-1>"),
    ),
    Case(
        "placeholder-secret",
        "`REVERB_APP_SECRET=your-app-secret`",
        _both("APP_SECRET=river-8-lantern", "APP_SECRET=your-app-secret"),
    ),
    Case(
        "placeholder-secret",
        "`SOUNDPOST_URL` with the secret `changeme`",
        {".env": "SOUNDPOST_URL=http://app-key:changeme@127.0.0.1:8080/apps/1\n"},
    ),
    Case(
        "env-wss-port-missing",
        "`new Echo` with wsPort, but without wssPort",
        {"echo.js": "\n".join(line for line in ECHO.splitlines() if "wssPort" not in line)},
    ),
]
WELL: Final = {
    "Laravel's own, as it is installed": {".env": LARAVEL},
    "Laravel behind Nginx": {".env": BACKEND + FRONTEND},
    "backend and frontend in files of their own": {"backend.env": BACKEND, "frontend.env": OWN_FRONTEND},
    "a Python application": {".env": PYTHON},
    "Laravel and Python beside each other": {".env": PYTHON + BACKEND + FRONTEND},
    "a server with a certificate of its own on 8080": {
        ".env": f"{BACKEND}{FRONTEND}SOUNDPOST_SERVER_TLS_CERTIFICATE=/etc/ws.pem\n".replace("=443", "=8080").replace(
            "REVERB_SCHEME=http\n", "REVERB_SCHEME=https\n"
        )
    },
    "secrets from files": {".env": PYTHON.replace("APP_SECRET=river-8-lantern", "APP_SECRET_FILE=/run/secrets/app")},
    "a frontend's source": {"echo.js": ECHO},
    "a source without TLS needs no wssPort": {
        "echo.ts": "new Echo<'reverb'>({ broadcaster: 'reverb', wsPort: 8080, forceTLS: false })"
    },
    "nothing of ours": {".env": "DATABASE_URL=postgres://…\nSECRET_KEY='it has spaces'\nHOST=0.0.0.0\nPORT=abc\n"},
}
"""Files with nothing wrong in them."""
