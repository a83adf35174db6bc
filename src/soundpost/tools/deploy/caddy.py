"""Caddy in front of the server, with certificates that Caddy gets and renews itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soundpost.tools.deploy.layout import block, comment
from soundpost.tools.deploy.plan import ConfigFile, Deployment, DeployPlan
from soundpost.tools.deploy.sizes import kernel_comment, proxy_open_files

_FILE: Final = Path("/etc/caddy/soundpost.caddy")
_MAIN: Final = Path("/etc/caddy/Caddyfile")


@dataclass(frozen=True, slots=True)
class CaddyOptions:
    """Options for Caddy alone."""

    also_site: bool = False
    """True if the server name has a site already: write a snippet to import there."""


def deployment(plan: DeployPlan, options: CaddyOptions) -> Deployment:
    """Return the deployment of one file, which the Caddyfile imports."""
    site = _snippet(plan) if options.also_site else _site(plan)
    text = "\n\n".join(part for part in (_heading(plan), _global(plan, options), site) if part) + "\n"
    line = f"import {_FILE.name}"
    if options.also_site:
        steps = [f"# near the top of {_MAIN}, below its global options: {line}"]
    elif _global(plan, options):
        steps = [f"# at the very top of {_MAIN}, as it has global options: {line}"]
    else:
        steps = [f"grep -qx '{line}' {_MAIN} || echo '{line}' >> {_MAIN}"]
    if options.also_site:
        steps.append(f"# in the site of {plan.server_name}, before its other directives: import soundpost")
    steps.append(f"caddy validate --config {_MAIN} --adapter caddyfile && systemctl reload caddy")
    if not (plan.certificate or options.also_site):
        steps.append(
            "# Caddy gets the certificate by itself, and renews it: ports 80 and 443 must be open to the world"
        )
    if plan.unix_socket is not None:
        steps.append(f"# Soundpost listens on a Unix socket: applications publish to 127.0.0.1:{plan.backend.port}")
    return Deployment((ConfigFile(_FILE, text),), tuple(steps), plan.backend)


def _heading(plan: DeployPlan) -> str:
    return comment(
        f"""\
Soundpost behind Caddy, for {plan.connections:,} connections.
browsers -- wss, https :{plan.tls_port} --> Caddy --> Soundpost at {", ".join(plan.upstreams)}

Host, X-Forwarded-For and X-Forwarded-Proto are handed on and WebSockets forwarded by Caddy itself; it has no time limit
for them. Two open files for each client, with systemctl edit caddy:
  [Service]
  LimitNOFILE={proxy_open_files(plan.connections)}

{kernel_comment(plan.connections, through_tcp=plan.unix_socket is None)}"""
    )


def _global(plan: DeployPlan, options: CaddyOptions) -> str:
    """Return Caddy's global options, needed for unusual ports only."""
    if options.also_site:
        return ""
    if plan.http_port == 0:
        return block("", "auto_https disable_redirects").lstrip()
    return block("", f"http_port {plan.http_port}").lstrip() if plan.http_port != 80 else ""


def _site(plan: DeployPlan) -> str:
    port = "" if plan.tls_port == 443 else f":{plan.tls_port}"
    own = ""
    if plan.certificate or plan.key:
        own = f"tls {plan.certificate_file} {plan.key_file}"
    site = block(
        f"{plan.site}{port}",
        own,
        *_routes(plan),
        comment("Anything else is a mistake in an address: say so."),
        block(
            "handle",
            f'respond "Caddy: Soundpost is reached at {plan.prefix}/app/ and {plan.prefix}/apps/ of this server." 404',
        ),
    )
    return f"{site}{_inner_site(plan)}"


def _snippet(plan: DeployPlan) -> str:
    return block("(soundpost)", *_routes(plan, health=False)) + _inner_site(plan)


def _routes(plan: DeployPlan, *, health: bool = True) -> list[str]:
    prefix = plan.prefix
    guard = ""
    if plan.api_is_internal:
        guard = "\n".join(
            [
                comment("Closed to the outside: applications publish to Soundpost itself, not through Caddy."),
                f"@outside not remote_ip {' '.join(('127.0.0.1', '::1', *plan.api_from))}",
                'respond @outside "The API is closed to the outside." 403',
            ]
        )
    names = [f"{prefix}/up", f"{prefix}/up/ready"] if health else []
    if plan.server.playground and health:
        names += [f"{prefix}/playground", f"{prefix}/playground/*"]
    # Pusher's SDK for Python leaves /apps out where it ends the connections of a user.
    api = [f"{prefix}/apps/*", *([f"{prefix}/users/*"] if health else [])]
    rest = [
        f"@soundpost path {' '.join(names)}",
        block("handle @soundpost", _forward(plan)),
    ]
    return [
        comment("Browsers: WebSockets."),
        block(f"handle {prefix}/app/*", _forward(plan)),
        comment("Applications: the HTTP API, with which events are published."),
        f"@api path {' '.join(api)}",
        block(
            "handle @api",
            guard,
            block("request_body", f"max_size {plan.server.max_request_size}"),
            _forward(plan),
        ),
        *((comment("For monitoring: it runs; it takes clients."), *rest) if names else ()),
    ]


def _forward(plan: DeployPlan) -> str:
    several = len(plan.upstreams) > 1
    upstreams = [upstream.replace("unix:", "unix/") for upstream in plan.upstreams]
    transport = ""
    if plan.speaks_tls:
        name = plan.server.hostname or plan.server_name
        transport = block("transport http", "tls", f"tls_server_name {name}")
    return block(
        f"reverse_proxy {' '.join(upstreams)}",
        "header_up X-Real-IP {remote_host}",
        comment("What a client says of itself is not handed on."),
        "header_up -Forwarded",
        "flush_interval -1",
        comment("From Caddy 2.7 on: a reload cuts WebSockets off only after a while.\nstream_close_delay 1h"),
        comment("No sticky sessions are needed. A server that is about to stop is asked no more.") if several else "",
        "lb_policy least_conn" if several else "",
        "lb_try_duration 5s" if several else "",
        f"health_uri {plan.prefix}/up/ready" if several else "",
        "health_interval 2s" if several else "",
        transport,
    )


def _inner_site(plan: DeployPlan) -> str:
    """Return a site for applications on this machine if Soundpost listens on a Unix socket, else an empty text."""
    if plan.unix_socket is None:
        return ""
    site = block(
        f"http://127.0.0.1:{plan.backend.port}",
        comment("Soundpost listens on a Unix socket: this is where applications on this machine publish to."),
        "bind 127.0.0.1",
        _forward(plan),
    )
    return f"\n\n{site}"
