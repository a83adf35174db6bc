"""Faults of the endpoints that the server sends webhooks to."""

from __future__ import annotations

from typing import Final

from soundpost.documentation import page
from soundpost.tools.doctor.faults.fault import Fault

ANOTHER_PORT: Final = "another port of the machine is open"
THE_SERVER_ITSELF: Final = "the address is that of the server itself"
TLS_IS_MISSING: Final = "the port has no TLS"
TLS_IS_WANTED: Final = "the port has TLS"
SELF_SIGNED: Final = "the certificate is self-signed, or of an authority of your own"
ANOTHER_NAME: Final = "the certificate is for another name"
ENDED: Final = "the certificate has expired"
TO_HTTPS: Final = "it leads to https"
TO_LOGIN: Final = "it leads to a login"
TO_SLASH: Final = "only the slash at the end differs"
OF_DJANGO: Final = "Django answers"
OF_FLASK: Final = "Flask-WTF answers"
OF_LARAVEL: Final = "Laravel answers"
LOGIN: Final = "the endpoint is behind a login"
ANOTHER_CLOCK: Final = "the request is too old for the endpoint"
BEHIND_A_PROXY: Final = "a proxy answers for an application that it does not reach"
_VIEW: Final = page("webhooks")

FAULTS: Final = (
    Fault(
        "webhook-host-unknown",
        "{url}: the host {host} is not known: {reason}",
        "The name is misspelt, or known in another network only. In a container, names of other containers are those "
        "of its own Docker network.",
        "Correct url under [[apps.webhooks]] of app {app_id}, or add the name to DNS. Names are looked up on the "
        "machine, or in the container, on which the server runs.",
    ),
    Fault(
        "webhook-address-refused",
        "{url}: {host} has the address {address}, which is not public: private_webhooks = false refuses it",
        "The server sends to public addresses only, so that apps of others reach no services of its own network.",
        "If the application is your own, remove private_webhooks from [server]. Otherwise write a public address into "
        "url under [[apps.webhooks]] of app {app_id}.",
    ),
    Fault(
        "webhook-refused",
        "{url}: nothing listens on port {port} of {host}",
        "The application does not run, or it listens on another port, or on another address of its machine. In a "
        "container, 127.0.0.1 is the container itself.",
        "Start the application, or correct the port in url under [[apps.webhooks]] of app {app_id}. 'ss -ltnp' on its "
        "machine shows who listens where. Development servers: Django and FastAPI 8000, Flask 5000, 'soundpost "
        "webhooks listen' 9000.",
        other_fixes={
            ANOTHER_PORT: "Correct the port in url under [[apps.webhooks]] of app {app_id}: port {open} is open there. "
            "Or start the application on port {port}."
        },
    ),
    Fault(
        "webhook-unreachable",
        "{url}: no connection: {reason}",
        "A firewall drops the packets, the address is wrong, or the machine is off. From a server outside, private "
        "addresses (10.…, 192.168.…) lead nowhere.",
        "Open port {port} of {host} for the server's machine, or write an address into url that leads there from the "
        "server's machine.",
    ),
    Fault(
        "webhook-tls-failed",
        "{url}: {reason}",
        "Webhooks have names of users and their messages. So the server sends them only to endpoints that it can "
        "trust.",
        "Correct scheme and port in url under [[apps.webhooks]] of app {app_id}, or the certificate of {host}.",
        other_fixes={
            TLS_IS_MISSING: "Write http:// in url under [[apps.webhooks]] of app {app_id}, or the port that has TLS "
            "(443 of Nginx).",
            SELF_SIGNED: "Get a certificate that this machine trusts ('certbot certonly'), or add your authority to "
            "those of this machine ('update-ca-certificates'; SSL_CERT_FILE names another file). On one machine, or "
            "within one private network, write the http:// address of the application.",
            ANOTHER_NAME: "Write a name of the certificate into url under [[apps.webhooks]] of app {app_id}, or get a "
            "certificate for {host}.",
            ENDED: "Renew the certificate of {host} ('certbot renew') and reload what serves it.",
        },
    ),
    Fault(
        "webhook-not-http",
        "{url}: {reason}",
        "What listens there does not speak HTTP/1.1 without TLS: another program, or a web server that wants https.",
        "Correct the port in url under [[apps.webhooks]] of app {app_id}.",
        other_fixes={TLS_IS_WANTED: "Write https:// in url under [[apps.webhooks]] of app {app_id}."},
    ),
    Fault(
        "webhook-timeout",
        "{url}: no answer within {seconds} s",
        "The endpoint works for too long before it answers, waits for a lock, or hangs. The server waits for "
        "'timeout' seconds, and "
        "sends the events again then: the endpoint gets them twice.",
        "Answer at once, and do the work in a queue (Celery, RQ, a background task). Or raise timeout under "
        "[[apps.webhooks]] of app {app_id}.",
    ),
    Fault(
        "webhook-redirected",
        "{url} redirects ({status}) to {location}: the server follows no redirects",
        "A redirected POST loses its body in most clients, and would take the signature to another address.",
        "Write the final address, {location}, into url under [[apps.webhooks]] of app {app_id}.",
        other_fixes={
            TO_HTTPS: "Write https:// into url under [[apps.webhooks]] of app {app_id}: {location}. Or, on one "
            "machine, the address of the application behind the proxy, such as http://127.0.0.1:8000; let the "
            "application take this path without TLS (Django: SECURE_REDIRECT_EXEMPT = ['^broadcasting/webhooks$']).",
            TO_LOGIN: "Let the endpoint be called without a login: its signature is what protects it. Take the login "
            "away from this path (Django: @login_not_required; a middleware, a proxy: an exception for the path).",
            TO_SLASH: "Write url under [[apps.webhooks]] of app {app_id} as the application has it, with its slash: "
            "{location}.",
        },
    ),
    Fault(
        "webhook-csrf",
        "{url} answered {status}: its protection against CSRF refuses requests that come from no page",
        "A webhook has no cookie and no token. Its signature protects the endpoint better.",
        "Take the protection away from this one path: a view of soundpost has none.",
        other_fixes={
            OF_DJANGO: f"Use soundpost's view, which needs no token, or put @csrf_exempt over yours: {_VIEW}.",
            OF_FLASK: f"Use soundpost's view, or call csrf.exempt(view) of Flask-WTF for yours: {_VIEW}.",
            OF_LARAVEL: "Add the path to the exceptions in bootstrap/app.php: "
            "validateCsrfTokens(except: ['path/of/the/webhook']).",
        },
    ),
    Fault(
        "webhook-signature-refused",
        "{url} answered {status}: {shown}",
        "The application has another secret or key than the app has on the server, or something on the "
        "way changes the body.",
        "Compare key and secret in the application's settings with those of app {app_id} in soundpost.toml. The "
        "signature is of the raw body: a view of your own must not sign JSON that it has read and written again.",
        other_fixes={
            ANOTHER_CLOCK: "Set the clocks of this machine and of the application's ('timedatectl' shows the time, "
            "'timedatectl set-ntp true' keeps it right).",
            LOGIN: "Let the endpoint be called without a login, or put what the login wants into headers under "
            '[[apps.webhooks]] of app {app_id}: headers = { Authorization = "${WEBHOOK_LOGIN}" }.',
        },
    ),
    Fault(
        "webhook-forbidden",
        "{url} answered 403: {shown}",
        "A firewall for web applications, a rule of the proxy, or the application's own permissions refuse the server.",
        "Let requests of the server's address through to this path. Its own log says who refuses: the application or "
        "the proxy in front.",
    ),
    Fault(
        "webhook-not-found",
        "{url} answered 404: there is no such path",
        "The view is at another path, the application was not restarted since the view was added, or another site of "
        "the proxy answers.",
        "Correct the path in url under [[apps.webhooks]] of app {app_id}, and restart the application. The path of "
        "soundpost's own view is /broadcasting/webhooks, unless your routes say otherwise.",
        other_fixes={
            THE_SERVER_ITSELF: "Write the address of your application into url under [[apps.webhooks]] of app "
            "{app_id}: this is the address of the server, which has no endpoint for its own webhooks."
        },
    ),
    Fault(
        "webhook-method-refused",
        "{url} answered 405: the path takes no POST",
        "A page, or a view for GET, is at this path.",
        "Correct the path in url under [[apps.webhooks]] of app {app_id}, or let the view take POST.",
    ),
    Fault(
        "webhook-answered-by-login",
        "{url} answered {status} with a login page ({title}): the server takes this for success, and the events "
        "are lost",
        "A program in front of the view shows its login page and does not call the view: a middleware, a proxy with "
        "single sign-on.",
        "Let the path be called without a login: its signature is what protects it.",
    ),
    Fault(
        "webhook-answered-by-page",
        "{url} answered {status} with a web page ({title})",
        "An endpoint answers with nothing, or a word. A page is often the fallback of a single-page application, which "
        "answers every path, and does nothing with the events.",
        "Correct the path in url under [[apps.webhooks]] of app {app_id}. If the view really answers with a page, "
        "nothing is wrong.",
        "warning",
    ),
    Fault(
        "webhook-host-refused",
        "{url} answered 400: the application does not take the host name {host}",
        "Django (ALLOWED_HOSTS), Starlette (TrustedHostMiddleware) and Flask (TRUSTED_HOSTS) answer the names in a "
        "list only.",
        "Add '{host}' to the list (Django: ALLOWED_HOSTS), or write a name of the list into url under "
        "[[apps.webhooks]] of app {app_id}.",
    ),
    Fault(
        "webhook-failed",
        "{url} answered {status}: {shown}",
        "The endpoint took the request and failed. The server sends the events again, for 5 minutes.",
        "The log of the application has the reason.",
        other_fixes={
            BEHIND_A_PROXY: "Start the application, or correct the address of the application in the proxy (Nginx: "
            "proxy_pass). The log of the proxy has the reason.",
            TO_SLASH: "Write url under [[apps.webhooks]] of app {app_id} with a slash at its end: Django has the path "
            "with one only.",
        },
    ),
    Fault(
        "webhook-gone",
        "{url} answered 410: the server sends nothing more to an endpoint that is gone, until it is restarted",
        "The application says that the endpoint was removed for good.",
        "Remove the table from [[apps.webhooks]] of app {app_id}, or correct url, then 'soundpost reload'.",
    ),
    Fault(
        "webhook-refused-request",
        "{url} answered {status}: {shown}",
        'The endpoint does not take the form of the request: {"time_ms": …, "events": […]} as application/json.',
        "Use soundpost's view, or let yours take any JSON object, also one with an empty list of events.",
    ),
    Fault(
        "webhook-unsigned-taken",
        "{url} accepts events with a wrong signature: anybody who knows the address can send events",
        "The view does not compare the signature of the body with X-Pusher-Signature.",
        f"Use soundpost's view, or verify the signature in yours: {_VIEW}.",
        "warning",
    ),
    Fault(
        "webhook-answer-slow",
        "{url} took {seconds} s to answer, of {timeout} s that it has",
        "Events wait for the answer: an endpoint gets one request at a time.",
        "Answer at once, and do the work in a queue.",
        "warning",
    ),
)
"""Faults in the order in which a check meets them."""
