"""Certificate of a proxy: whether the files are there, and the commands that get and renew them."""

from __future__ import annotations

import shlex
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final

from soundpost.tools.deploy.plan import DeployPlan

WEBROOT: Final = "/var/www/html"
"""Folder from which Nginx answers certbot; certbot puts its files there."""


class CertificateState(Enum):
    """State of a proxy's certificate on the machine where the proxy runs."""

    PRESENT = auto()
    MISSING = auto()
    UNKNOWN = auto()
    """The proxy runs elsewhere, as in an image."""


def state_of(plan: DeployPlan) -> CertificateState:
    """Return whether certificate and key are on this machine. A file that may not be seen counts as missing."""
    with suppress(OSError):
        if Path(plan.certificate_file).exists() and Path(plan.key_file).exists():
            return CertificateState.PRESENT
    return CertificateState.MISSING


def certbot_command(plan: DeployPlan, reload: str) -> str:
    """Return the command that gets a certificate through Nginx on port 80, and runs ``reload`` after each renewal."""
    return (
        f"certbot certonly --webroot -w {WEBROOT} -d {plan.server_name} --keep-until-expiring "
        f"--deploy-hook {shlex.quote(reload)}"
    )


def certificate_steps(plan: DeployPlan, reload: str) -> list[str]:
    """Return the steps after which the certificate is there."""
    if plan.certificate:
        return [
            f"# put the certificate with its whole chain into {plan.certificate_file}, the key into {plan.key_file}"
        ]
    if plan.http_port:
        return [f"mkdir -p {WEBROOT}", certbot_command(plan, reload)]
    by_dns = f"certbot certonly --manual --preferred-challenges dns -d {plan.server_name}"
    return [
        "# --http-port 0: nothing answers certbot on port 80, so DNS proves the name. For renewals by itself, take",
        "# certbot's plugin for your DNS provider in place of --manual",
        f"{by_dns} --keep-until-expiring --deploy-hook {shlex.quote(reload)}",
    ]
