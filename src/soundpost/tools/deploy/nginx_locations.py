"""Nginx's ``location`` blocks that forward to the server."""

from __future__ import annotations

from soundpost.tools.deploy.layout import block, comment
from soundpost.tools.deploy.plan import DeployPlan


def locations(plan: DeployPlan) -> str:
    """Return the locations ``/app/`` and ``/apps/``."""
    several = len(plan.upstreams) > 1
    return "\n".join(
        [
            comment(
                f"Browsers: WebSockets. A connection may be silent for {plan.longest_idle_time} s and has 30 s to "
                "answer a ping;\nNginx must wait longer than both, its own 60 s cut connections off."
            ),
            block(
                f"location {plan.prefix}/app/",
                proxy_settings(plan),
                f"proxy_read_timeout {plan.idle_timeout}s;",
                f"proxy_send_timeout {plan.idle_timeout}s;",
                comment("A server that is about to stop answers 503: ask another.") if several else "",
                "proxy_next_upstream error timeout http_503;" if several else "",
            ),
            "",
            comment("Applications: the HTTP API, with which events are published."),
            _api(plan, "apps"),
        ]
    )


def api_of_users(plan: DeployPlan) -> str:
    """Return the location ``/users/``."""
    return "\n".join(
        [
            comment("The same: Pusher's SDK for Python ends the connections of a user here, without /apps."),
            _api(plan, "users"),
        ]
    )


def _api(plan: DeployPlan, name: str) -> str:
    guard = ""
    if plan.api_is_internal:
        guard = "\n".join(
            [
                comment("Closed to the outside: applications publish to Soundpost itself, not through Nginx."),
                *(f"allow {address};" for address in ("127.0.0.1", "::1", *plan.api_from)),
                "deny all;",
            ]
        )
    return block(
        f"location {plan.prefix}/{name}/",
        guard,
        proxy_settings(plan),
        body_size(plan),
        "proxy_read_timeout 30s;",
    )


def body_size(plan: DeployPlan) -> str:
    """Return the directives that let requests be as large as the server accepts."""
    return "\n".join(
        [
            comment("As large as Soundpost takes them (max_request_size); kept in memory on the way."),
            f"client_max_body_size {plan.server.max_request_size};",
            f"client_body_buffer_size {plan.server.max_request_size};",
        ]
    )


def proxy_settings(plan: DeployPlan) -> str:
    """Return the directives that forward to the server, WebSockets too, with the client's address."""
    own_tls = (
        [
            comment("Soundpost serves TLS itself (server.tls). Plain HTTP inside would do, and cost less."),
            "proxy_pass https://soundpost;",
            "proxy_ssl_server_name on;",
            f"proxy_ssl_name {plan.server.hostname or plan.server_name};",
        ]
        if plan.speaks_tls
        else ["proxy_pass http://soundpost;"]
    )
    host = "$host" if plan.tls_port == 443 else "$host:$server_port"
    return "\n".join(
        [
            *own_tls,
            "proxy_http_version 1.1;",
            "proxy_set_header Upgrade $http_upgrade;",
            "proxy_set_header Connection $connection_upgrade;",
            f"proxy_set_header Host {host};",
            "proxy_set_header X-Real-IP $remote_addr;",
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            "proxy_set_header X-Forwarded-Proto $scheme;",
            "proxy_set_header Forwarded '';  # what a client says of itself is not handed on",
            "proxy_buffering off;",
            "proxy_connect_timeout 5s;",
        ]
    )


def health(plan: DeployPlan) -> str:
    """Return the locations ``/up`` and ``/up/ready``."""
    return "\n".join(
        [
            comment("For monitoring: it runs; it takes clients."),
            *(
                f"location = {plan.prefix}{path} {{ proxy_pass {'https' if plan.speaks_tls else 'http'}://soundpost; }}"
                for path in ("/up", "/up/ready")
            ),
        ]
    )


def playground(plan: DeployPlan) -> str:
    """Return the location of the playground; empty if the server has none."""
    if not plan.server.playground:
        return ""
    return "\n".join(
        [
            comment("The playground, which lets its visitors publish: server.playground = false ends it."),
            block(f"location {plan.prefix}/playground", proxy_settings(plan)),
        ]
    )
