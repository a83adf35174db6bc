"""Steps after Nginx's files are written: limits, certificate, reload."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from soundpost.tools.deploy.certificates import CertificateState, renewal_steps, steps_until_certificate
from soundpost.tools.deploy.installed_nginx import missing_directives
from soundpost.tools.deploy.nginx_options import NginxOptions
from soundpost.tools.deploy.plan import DeployPlan
from soundpost.tools.deploy.sizes import MAX_PER_ADDRESS
from soundpost.wire.addresses import UNSPECIFIED

LOCATIONS_FILE: Final = Path("/etc/nginx/snippets/soundpost.conf")
"""File with the locations to include in a site that exists."""
RELOAD: Final = "systemctl reload nginx"
_TEST_AND_RELOAD: Final = f"nginx -t && {RELOAD}"


def steps(plan: DeployPlan, options: NginxOptions) -> tuple[str, ...]:
    """Return the steps. ``nginx -t`` passes at each of them."""
    found = [] if options.whole else missing_directives(options.main_file, plan.connections)
    if options.also_site:
        found += [f"# in the server {{ … }} of {plan.server_name}: include {LOCATIONS_FILE};", _TEST_AND_RELOAD]
    elif options.certificate is CertificateState.UNKNOWN:
        found += [f"# Nginx starts only if {plan.certificate_file} is there", _TEST_AND_RELOAD]
    elif options.certificate is CertificateState.PRESENT:
        found += [_TEST_AND_RELOAD, *renewal_steps(plan, RELOAD)]
    else:
        complete = (options.command, _TEST_AND_RELOAD)
        found += steps_until_certificate(plan, "the file", [_TEST_AND_RELOAD], RELOAD, complete, written=options.writes)
    if plan.server.host in UNSPECIFIED and not plan.nodes and plan.unix_socket is None:
        found.append(
            f'# so that nobody reaches port {plan.server.port} past Nginx: host = "127.0.0.1" under [server], '
            "or a firewall"
        )
    return tuple(found)


def warnings(plan: DeployPlan) -> tuple[str, ...]:
    """Return a warning if one Nginx has too few ports for its connections to the servers."""
    each = plan.connections / len(plan.upstreams)
    if plan.unix_socket is None and each > MAX_PER_ADDRESS:
        warning = (
            f"{plan.connections:,} connections from one Nginx to {len(plan.upstreams)} address(es): TCP has ports for "
            f"about {MAX_PER_ADDRESS:,} each: let the server listen on a Unix socket (server.unix_socket), or give "
            "several addresses with --node"
        )
        return (warning,)
    return ()
