"""Faults in ``.env`` files of backend and frontend: settings that contradict each other."""

from __future__ import annotations

from typing import Final

from soundpost.tools.doctor.faults.fault import Fault

FAULTS: Final = (
    Fault(
        "env-unreadable",
        "{location}: {reason}",
        "The file is not there, or this user may not read it.",
        "Correct the path after --env.",
    ),
    Fault(
        "env-secret-in-frontend",
        "{location} puts the app's secret where every visitor can read it",
        "Variables of this name are built into the JavaScript that is sent to browsers. With the secret anybody can "
        "publish and read private channels.",
        "Remove the variable, make a new secret ('openssl rand -hex 16' prints one) for server and backend, and build "
        "the frontend again. The browser needs the key only.",
    ),
    Fault(
        "placeholder-secret",
        "{location} is an example of the documentation, which everybody knows",
        "With the secret anybody can publish and read private channels.",
        "Make new credentials ('soundpost init' does), and give them to server and backend.",
        "warning",
    ),
    Fault(
        "secret-not-filled-in",
        "{location} still has the placeholder of 'soundpost deploy' in place of the secret",
        "The server refuses requests with it (401).",
        "Write the app's secret there. 'soundpost deploy env --show-secret', called where the server's soundpost.toml "
        "is, prints it.",
    ),
    Fault(
        "env-frontend-key-differs",
        "{location} is '{frontend}', but the app's key is '{backend}' ({other})",
        "The browser would be refused with 4001.",
        'Write VITE_REVERB_APP_KEY="${REVERB_APP_KEY}", or the same value, and build the frontend again.',
    ),
    Fault(
        "env-frontend-internal-port",
        "{location} sends browsers to {port} with https, but {port} is the server's own port, which has no TLS",
        "VITE_REVERB_PORT was made the same as the port inside. Nginx serves TLS on 443.",
        "VITE_REVERB_PORT=443 (REVERB_PORT and REVERB_SERVER_PORT stay {port}), and build the frontend again.",
    ),
    Fault(
        "env-frontend-localhost",
        "{location} sends the visitors' browsers to {host}: their own computers",
        "The file is for production, the host that of development; or the address on which the server listens was "
        "given to the browser.",
        "Set it to the public name of the server, and build the frontend again: the value is built in.",
    ),
    Fault(
        "env-frontend-no-scheme",
        "VITE_REVERB_SCHEME is not set, so laravel-echo takes https; the server has {scheme} ({location})",
        "Laravel's echo.js has `VITE_REVERB_SCHEME ?? 'https'`.",
        'Write VITE_REVERB_SCHEME="${REVERB_SCHEME}", or http or https as browsers need it.',
    ),
    Fault(
        "env-frontend-empty",
        "{location} is empty{hint}",
        "The frontend is built with nothing there: it connects to 'undefined', or to the page's own host.",
        "Give it a value, or correct the name between ${ and }; then build the frontend again.",
    ),
    Fault(
        "env-scheme-port-mismatch",
        "{location} is {scheme}, but the port is {port} ({other})",
        "443 is the port of https, 80 that of http.",
        "Set scheme and port that belong together: https and 443 behind Nginx, http and 8080 inside.",
    ),
    Fault(
        "env-backend-https-internal-port",
        "the backend publishes with https to port {port} ({location}), on which the server speaks plain http",
        "The scheme is the public one, the port the one inside. Publishing fails with 'wrong version number' or "
        "'SSL connection timeout'.",
        "REVERB_SCHEME=http for the backend, VITE_REVERB_SCHEME=https for the browser.",
    ),
    Fault(
        "env-ports-swapped",
        "{location} lets the server listen on {port}, the public port, while {other} sends applications to {inside}",
        "The two are mixed up: REVERB_SERVER_PORT / SOUNDPOST_SERVER_PORT is where the server listens, REVERB_PORT / "
        "SOUNDPOST_PORT where applications find it.",
        "The server listens inside (REVERB_SERVER_PORT=8080), Nginx has 443.",
    ),
    Fault(
        "env-wildcard-host",
        "{location} is {host}: a server can listen there, but nobody can connect to it",
        "0.0.0.0 means 'all addresses of this machine' to a server that listens; as a destination it means nothing.",
        "127.0.0.1 for a backend on the same machine, the public name for browsers.",
    ),
    Fault(
        "env-host-not-a-name",
        "{location} is '{host}': a host name has no scheme, port or path",
        "Scheme, port and path have variables of their own.",
        "Write '{name}' there.",
    ),
    Fault(
        "env-not-a-port",
        "{location} is '{port}', which is not a port",
        "A port is a number from 1 to 65535.",
        "8080 inside, 443 for browsers behind Nginx.",
    ),
    Fault(
        "env-not-a-scheme",
        "{location} is '{scheme}': expected http or https",
        "ws and wss follow from http and https by themselves.",
        "Write http or https.",
    ),
    Fault(
        "env-quotes",
        "{location} has {what} in its value",
        "Quotes of another kind, one quote too few, or spaces that came along with copying become part of the value; "
        "keys and signatures do not match then.",
        "Write NAME=value, with plain straight quotes around it or none.",
    ),
    Fault(
        "env-set-twice",
        "{location} is set again in line {line}, to something else",
        "The last line wins.",
        "Remove one of them.",
        "warning",
    ),
    Fault(
        "env-credentials-differ",
        "{location} and {other} differ: backend and server would use different {what}s",
        "Two files, or two names for one thing, with different values.",
        "Make them the same; where both names are set, SOUNDPOST_… wins.",
    ),
    Fault(
        "env-credentials-missing",
        "{location} is set, but {missing} is not",
        "An application publishes with id, key and secret together.",
        "Add what is missing; the server's soundpost.toml or .env has it.",
    ),
    Fault(
        "env-broadcaster-off",
        "{location} is '{driver}': events are {fate}, and never sent",
        "It is the setting for development without a server, and Laravel's default.",
        "BROADCAST_CONNECTION=reverb for Laravel, SOUNDPOST_BROADCAST_DRIVER=soundpost (or no such line) for Python; "
        "then 'php artisan config:clear', or a restart.",
    ),
    Fault(
        "env-public-differs",
        "{location} sends browsers to {first}, {other} to {second}",
        "Two settings for one thing: where browsers connect.",
        "Make them the same; then build the frontend again, for its values are built in.",
    ),
    Fault(
        "env-wss-port-missing",
        "{location} sets wsPort, but not wssPort, and connects with TLS: the browser goes to 443, not to wsPort",
        "pusher-js has two ports: wsPort without TLS, wssPort with it. The other one is ignored.",
        "Set both wsPort and wssPort to the same port (443 behind Nginx).",
    ),
)
"""Faults looked for in all files given with ``--env``, and in ``.env`` of the working directory."""
