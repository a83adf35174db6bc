"""Nginx in front of the server: TLS for browsers, plain HTTP or a Unix socket inside."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from soundpost.tools.deploy.certificates import WEBROOT, certbot_command, file_by_state
from soundpost.tools.deploy.layout import block, comment
from soundpost.tools.deploy.nginx_locations import (
    api_of_users,
    body_size,
    health,
    locations,
    playground,
    proxy_settings,
)
from soundpost.tools.deploy.nginx_options import NginxOptions
from soundpost.tools.deploy.nginx_steps import LOCATIONS_FILE, RELOAD, steps, warnings
from soundpost.tools.deploy.plan import ConfigFile, Deployment, DeployPlan
from soundpost.tools.deploy.sizes import kernel_comment, proxy_connections, proxy_open_files

_SITE: Final = Path("/etc/nginx/conf.d/soundpost.conf")
_WHOLE: Final = Path("/etc/nginx/nginx.conf")


def deployment(plan: DeployPlan, options: NginxOptions) -> Deployment:
    """Return the site's file, two files for ``also_site``, or a whole ``nginx.conf``.

    Nginx does not start with a certificate that is not there. So what is written without one serves plain HTTP only,
    for certbot, and is replaced once the certificate is there.
    """
    files: tuple[ConfigFile, ...]
    if options.also_site:
        files = (
            ConfigFile(_SITE, f"{_heading(plan)}\n\n{_upstream(plan)}\n{_inner_server(plan)}"),
            ConfigFile(LOCATIONS_FILE, _locations_file(plan)),
        )
    else:
        first, complete = _site_before_certificate(plan, options), site_file(plan, options)
        path = _SITE
        if options.whole:
            path, first, complete = _WHOLE, _whole_file(plan, first), _whole_file(plan, complete)
        files = (file_by_state(path, first, complete, options.certificate, writes=options.writes),)
    return Deployment(files, steps(plan, options), plan.backend, warnings(plan))


def site_file(plan: DeployPlan, options: NginxOptions) -> str:
    """Return the content of ``http { … }``: upstream, the site on the TLS port, the redirect from plain HTTP."""
    parts = [_heading(plan), _upstream(plan), _site(plan, options), _redirect(plan, options), _inner_server(plan)]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _site_before_certificate(plan: DeployPlan, options: NginxOptions) -> str:
    """Return the content of ``http { … }`` while there is no certificate: certbot's answers on plain HTTP."""
    heading = comment(
        f"""\
Soundpost behind Nginx, the first step: plain HTTP, so that certbot gets a certificate for {plan.server_name}.
Nginx does not start with a certificate that is not there. Once {plan.certificate_file} is there,
'soundpost deploy' with the same options writes this file again, complete."""
    )
    missing = f'return 503 "Nginx: {plan.server_name} has no certificate yet.\\n";'
    return f"{heading}\n\n{_plain_http(plan, options, 'default_type text/plain;', missing)}".strip("\n") + "\n"


def _whole_file(plan: DeployPlan, site: str) -> str:
    """Return a whole ``nginx.conf`` around a site."""
    return "\n".join(
        [
            "worker_processes auto;",
            comment("Open files of each worker: a connection of a client is two, one to it and one to Soundpost."),
            f"worker_rlimit_nofile {proxy_open_files(plan.connections)};",
            comment(
                "After a reload the old workers stay for their WebSockets. No longer than this: clients reconnect."
            ),
            "worker_shutdown_timeout 1h;",
            "",
            block("events", f"worker_connections {proxy_connections(plan.connections)};"),
            "",
            block("http", "access_log off;", "server_tokens off;", "\n", site),
            "",
        ]
    )


def _heading(plan: DeployPlan) -> str:
    return comment(
        f"""\
Soundpost behind Nginx, for {plan.connections:,} connections.
browsers -- wss, https :{plan.tls_port} --> Nginx -- {"https" if plan.speaks_tls else "http"} --> Soundpost at \
{", ".join(plan.upstreams)}

This file belongs into http {{ … }}. Outside of it, in /etc/nginx/nginx.conf, so many connections need:
  worker_rlimit_nofile {proxy_open_files(plan.connections)};        at the top level
  worker_shutdown_timeout 1h;        at the top level: old workers stay no longer after a reload
  worker_connections {proxy_connections(plan.connections)};          in events {{ … }}: two for each client, \
any worker may have all

{kernel_comment(plan.connections, through_tcp=plan.unix_socket is None)}"""
    )


def _upstream(plan: DeployPlan) -> str:
    several = len(plan.upstreams) > 1
    servers = [f"server {upstream}{' max_fails=1 fail_timeout=2s' if several else ''};" for upstream in plan.upstreams]
    balance = (
        comment("No sticky sessions are needed. The least busy first: one that was restarted fills up again.")
        + "\nleast_conn;"
        if several
        else ""
    )
    kept_open = max(1, min(60, plan.server.keep_alive_timeout - 5))
    upgrade = block("map $http_upgrade $connection_upgrade", "default upgrade;", "''      '';")
    return "\n".join(
        [
            comment(
                "Connection is 'upgrade' for WebSockets; for the API it is empty, so that connections to Soundpost\n"
                "are kept open (keepalive below)."
            ),
            upgrade,
            "",
            block(
                "upstream soundpost",
                "zone soundpost 128k;  # all workers of Nginx know how busy each server is" if several else "",
                balance,
                *servers,
                comment("Connections kept open for the API, for less time than Soundpost keeps them."),
                "keepalive 32;",
                f"keepalive_timeout {kept_open}s;",
            ),
        ]
    )


def _site(plan: DeployPlan, options: NginxOptions) -> str:
    return block(
        "server",
        comment("HTTP/2 is for the rest of the site: browsers open WebSockets over HTTP/1.1 by themselves."),
        *_listen(plan.tls_port, options, tls=True),
        f"server_name {plan.site};",
        "\n",
        f"ssl_certificate     {plan.certificate_file};  # with the whole chain",
        f"ssl_certificate_key {plan.key_file};",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:soundpost_tls:10m;  # clients that come back all at once need no full handshake",
        "\n",
        locations(plan),
        "\n",
        api_of_users(plan),
        "\n",
        health(plan),
        playground(plan),
        "\n",
        comment("Anything else is a mistake in an address: say so."),
        block(
            "location /",
            "default_type text/plain;",
            f'return 404 "Nginx: Soundpost is at {plan.prefix}/app/ and {plan.prefix}/apps/ of this server.\\n";',
        ),
    )


def _listen(port: int, options: NginxOptions, *, tls: bool) -> list[str]:
    old_http2 = " http2" if tls and not options.http2_is_a_directive else ""
    flags = f"{' ssl' if tls else ''}{old_http2}"
    return [
        f"listen {port}{flags};",
        f"listen [::]:{port}{flags};" if options.ipv6 else "",
        "http2 on;" if tls and options.http2_is_a_directive else "",
    ]


def _redirect(plan: DeployPlan, options: NginxOptions) -> str:
    port = "" if plan.tls_port == 443 else f":{plan.tls_port}"
    return _plain_http(
        plan,
        options,
        comment("308 keeps the method: 301 would make a GET of a POST to the API."),
        f"return 308 https://$host{port}$request_uri;",
    )


def _plain_http(plan: DeployPlan, options: NginxOptions, *answer: str) -> str:
    """Return the site on the port for plain HTTP, which answers certbot, and everybody else by ``answer``."""
    if plan.http_port == 0:
        return ""
    return block(
        "server",
        *_listen(plan.http_port, options, tls=False),
        f"server_name {plan.site};",
        "\n",
        comment(certbot_command(plan, RELOAD)),
        f"location /.well-known/acme-challenge/ {{ root {WEBROOT}; }}",
        "\n",
        block("location /", *answer),
    )


def _inner_server(plan: DeployPlan) -> str:
    """Return a server block for applications on this machine if Soundpost listens on a Unix socket, else empty."""
    if plan.unix_socket is None:
        return ""
    return "\n".join(
        [
            "",
            comment("Soundpost listens on a Unix socket: this is where applications on this machine publish to."),
            block(
                "server",
                f"listen 127.0.0.1:{plan.backend.port};",
                block(
                    "location /",
                    proxy_settings(plan),
                    body_size(plan),
                ),
            ),
            "",
        ]
    )


def _locations_file(plan: DeployPlan) -> str:
    return "\n".join(
        [
            comment(
                f"Soundpost below the site that {plan.server_name} has already.\n"
                f"In its server {{ … }} of port {plan.tls_port}, before other locations, put:\n"
                f"  include {LOCATIONS_FILE};"
            ),
            "",
            locations(plan),
            "",
        ]
    )


def container_files(plan: DeployPlan) -> tuple[str, str]:
    """Return a whole ``nginx.conf`` for a container: before there is a certificate, and complete."""
    options = NginxOptions(http2_is_a_directive=True, ipv6=False)
    first, complete = _site_before_certificate(plan, options), site_file(plan, options)
    return _whole_file(plan, first), _whole_file(plan, complete)
