"""Faults that the server itself reports: app, origin, signature, delivery."""

from __future__ import annotations

from typing import Final

from soundpost.tools.doctor.faults.fault import Fault

ORIGINS_KNOWN: Final = "the app is configured here"
ORIGIN_IS_CONFIGURED: Final = "the configuration was changed since the server read it"
FROM_REVERB_VARIABLES: Final = "the secret comes from a variable REVERB_…"
FROM_OPTIONS: Final = "it was given to the doctor as an option"

FAULTS: Final = (
    Fault(
        "app-key-unknown",
        "the server has no app with the key '{key}'{source} (4001){hint}",
        "The key in the frontend is another than the server's: an old build, another environment, or a misspelling.",
        "Compare VITE_REVERB_APP_KEY (the key of laravel-echo) with SOUNDPOST_APP_KEY / REVERB_APP_KEY of the server; "
        "then build the frontend again, for the value is built in.",
        other_fixes={
            FROM_OPTIONS: "Compare it with 'key' in the server's soundpost.toml or .env (SOUNDPOST_APP_KEY / "
            "REVERB_APP_KEY). If it is a page's own key, change it there too: VITE_REVERB_APP_KEY, then build the "
            "frontend again."
        },
    ),
    Fault(
        "app-disabled",
        "the app is disabled on the server (4003)",
        "Its 'enabled' is false.",
        "Set 'enabled = true' for it in soundpost.toml (SOUNDPOST_APP_ENABLED), and restart the server.",
    ),
    Fault(
        "app-over-quota",
        "the app has as many connections as it may have (4004)",
        "max_connections of the app is reached.",
        "Raise it (SOUNDPOST_APP_MAX_CONNECTIONS / REVERB_APP_MAX_CONNECTIONS), or find the pages that connect and "
        "never disconnect.",
    ),
    Fault(
        "server-over-capacity",
        "the server has as many connections as it can open (4100)",
        "max_connections of the server, or the limit of open files, is reached.",
        "Raise the limit of open files (systemd: LimitNOFILE, Supervisor: minfds) and 'max_connections' of [server]; "
        "'soundpost doctor --connections N' on the server says what else is too low.",
    ),
    Fault(
        "origin-refused",
        "the server does not take connections from pages of {origin} (4009)",
        "allowed_origins of the app does not have the page's address.",
        'Add "{host}" to allowed_origins of the app, beside those that are there (SOUNDPOST_APP_ALLOWED_ORIGINS), '
        "then 'soundpost reload'. A host alone is for any scheme and port; '*.example.com' is for subdomains.",
        other_fixes={
            ORIGINS_KNOWN: "allowed_origins = [{listed}] of app {app_id} (or SOUNDPOST_APP_ALLOWED_ORIGINS={joined}), "
            "then 'soundpost reload'. A host alone is for any scheme and port; '*.example.com' is for subdomains.",
            ORIGIN_IS_CONFIGURED: "The configuration here allows {host} already: 'soundpost reload' lets the server "
            "read it.",
        },
    ),
    Fault(
        "pusher-error",
        "the server accepted the WebSocket and refused the connection: {reason} ({close})",
        "The server has refused the connection itself.",
        "Look into the server's log; start it with --debug to see every message.",
    ),
    Fault(
        "no-connection-established",
        "the WebSocket opened, but the server sent nothing within {seconds} s",
        "A proxy holds the messages back (buffering), or the server is not a Pusher server.",
        "Check host, port and path. In Nginx: 'proxy_buffering off;' in the location.",
    ),
    Fault(
        "not-pusher-protocol",
        "the WebSocket server does not use the Pusher protocol: it says {shown}",
        "Another program has this port: a development server (Vite, webpack), another realtime server.",
        "Correct host, port and path.",
    ),
    Fault(
        "subscription-failed",
        "the connection was established, but a subscription was not confirmed: {reason}",
        "The client's messages do not reach the server, or the server refuses them.",
        "Look into the server's log; start it with --debug to see every message.",
    ),
    Fault(
        "no-pong",
        "the server did not answer a ping within {seconds} s",
        "The server hangs, or the client's messages do not reach it.",
        "Look into the server's log, and at its CPU.",
    ),
    Fault(
        "public-address-in-backend",
        "the backend publishes to {url} ({source}), which fails ({problem}), while the server answers it at {inside}",
        "The backend was given the public address. Its requests leave the machine and come back through the proxy, "
        "with its redirects, challenges and firewalls.",
        "Let the backend publish inside: SOUNDPOST_HOST={host}, SOUNDPOST_PORT={port}, SOUNDPOST_SCHEME={scheme} "
        "(REVERB_HOST, REVERB_PORT, REVERB_SCHEME). Browsers keep the public address.",
    ),
    Fault(
        "wrong-address-in-backend",
        "the backend publishes to {url} ({source}), which fails ({problem}), while the server answers it at {inside}",
        "Host, port or scheme of the backend are not those of the server.",
        "Let the backend publish to the server: SOUNDPOST_HOST={host}, SOUNDPOST_PORT={port}, "
        "SOUNDPOST_SCHEME={scheme} (REVERB_HOST, REVERB_PORT, REVERB_SCHEME). Where SOUNDPOST_URL says the address, "
        "correct it there.",
    ),
    Fault(
        "backend-through-proxy",
        "the backend publishes through the public address {url}, though the server answers at {inside}",
        "Publishing works, but every event goes through DNS, TLS and the proxy, and depends on all of them.",
        "SOUNDPOST_HOST={host}, SOUNDPOST_PORT={port}, SOUNDPOST_SCHEME={scheme} for the backend (REVERB_HOST …). "
        "Browsers keep the public address.",
        "warning",
    ),
    Fault(
        "laravel-path-without-slash",
        "{location} says {value}: without a slash at its end, Laravel publishes to {asked}, where no API is: {reason}",
        "pusher-http-php, which Laravel publishes with, drops the last part of a path that does not end with a slash.",
        "Write REVERB_SERVER_PATH={value}/, with a slash at the end. The server and browsers take it as before.",
    ),
    Fault(
        "api-not-forwarded",
        "there is no HTTP API at {url}: {asked} is answered with {status} by {author}",
        "The proxy forwards /app, but not /apps, to which applications publish; or another program than Soundpost "
        "answers there.",
        "Let applications publish inside (http://127.0.0.1:8080; --backend-url tells it to the doctor). Or forward "
        "/apps as well: 'location /apps/ { proxy_pass http://127.0.0.1:8080; }'.",
    ),
    Fault(
        "api-redirected",
        "{url} redirects to {location}: a POST becomes a GET on the way, and the event is lost",
        "A redirect from http to https, or to another name, meant for pages.",
        "Give the backend the address it leads to, or better the inner one (http://127.0.0.1:8080).",
    ),
    Fault(
        "app-id-unknown",
        "the server has no app with the id '{app_id}'{source}",
        "SOUNDPOST_APP_ID / REVERB_APP_ID of the backend is another than the server's, or another server answers.",
        "Compare it with 'id' in the server's soundpost.toml or .env.",
    ),
    Fault(
        "app-key-mismatch",
        "the key '{key}'{source} is not that of app {app_id}",
        "Id and key belong to different apps.",
        "Take id, key and secret from the same app.",
    ),
    Fault(
        "signed-request-changed",
        "a proxy changes API requests on their way, so that the signature does not fit: {difference}",
        "The signature covers path and query. A proxy that removes a prefix or adds a parameter breaks it.",
        "Forward /apps unchanged (in Nginx: 'proxy_pass http://127.0.0.1:8080;' without a path behind the port), or "
        "publish inside.",
    ),
    Fault(
        "app-secret-wrong",
        "the signature was refused: the secret{source} is not that of app {app_id}{clock}",
        "Key and id are right, the secret is not.",
        "Copy the secret of the app from the server's configuration{to} again, without quotes and spaces; then restart "
        "the application.",
        other_fixes={
            FROM_REVERB_VARIABLES: "Copy the secret of the app from the server's configuration to REVERB_APP_SECRET "
            "again, without quotes and spaces; then 'php artisan config:clear', and restart queue workers.",
            FROM_OPTIONS: "Compare it with 'secret' in the server's soundpost.toml or .env (SOUNDPOST_APP_SECRET / "
            "REVERB_APP_SECRET).",
        },
    ),
    Fault(
        "clock-skew",
        "{refused}: this machine's clock {is_ahead} that of the server by {skew}, 600 s are allowed",
        "Signed requests carry the time, so that nobody can repeat them later.",
        "Set both clocks by NTP: 'timedatectl set-ntp true'.",
    ),
    Fault(
        "clock-drift",
        "this machine's clock {is_ahead} that of the server by {skew}; from 600 s on requests are refused",
        "The clock of one machine is not synchronized.",
        "Set both clocks by NTP: 'timedatectl set-ntp true'.",
        "warning",
    ),
    Fault(
        "api-refused",
        "the HTTP API at {url} answers {status}: {shown}",
        "This answer has no usual cause.",
        "Look into the server's log.",
    ),
    Fault(
        "event-not-delivered",
        "the event was accepted at {backend}, but did not arrive at {public} within {seconds} s: is that the same "
        "server?",
        "Browser and backend talk to different servers: two installations, an old one that still runs, or several "
        "that do not act as one.",
        "Check that both addresses lead to the same server. Several servers need [scaling] redis with one prefix.",
    ),
    Fault(
        "nodes-not-clustered",
        "{heard} of {all} connections got the event: there are several servers behind {public}, and they do not act "
        "as one",
        "A load balancer spreads connections over servers that are not connected to each other.",
        "Give all of them the same [scaling] redis and prefix (SOUNDPOST_REDIS_URL); 'soundpost start --workers' is "
        "enough for several processes on one machine.",
    ),
    Fault(
        "delivered-locally",
        "the server delivered the event to its own clients only: it cannot reach Redis at the moment",
        "It says so in its answer; clients of the other servers get the event when Redis is back.",
        "Check Redis; 'soundpost doctor' on the server's machine says why it is not reached.",
        "warning",
    ),
    Fault(
        "idle-connection-closed",
        "an idle connection was closed after {seconds:.0f} s: {reason}",
        "The server closed it, not a proxy: the close frame has a reason.",
        "Look into the server's log.",
    ),
)
"""Faults in the order in which a check meets them."""
