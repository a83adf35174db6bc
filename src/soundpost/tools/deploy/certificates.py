"""Certificate of a proxy: whether the files are there, and the commands that get and renew them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Final

from soundpost.tools.deploy.plan import ConfigFile, DeployPlan

LETSENCRYPT: Final = Path("/etc/letsencrypt")
"""Folder in which certbot keeps its files."""
WEBROOT: Final = "/var/www/html"
"""Folder from which Nginx answers certbot; certbot puts its files there."""


class CertificateState(Enum):
    """State of a proxy's certificate on the machine where the proxy runs."""

    PRESENT = auto()
    MISSING = auto()
    UNKNOWN = auto()
    """The proxy runs elsewhere, as in an image, or the folder is closed to this user."""


def state_of(plan: DeployPlan) -> CertificateState:
    """Return the state of certificate and key on this machine."""
    try:
        for path in (plan.certificate_file, plan.key_file):
            Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return CertificateState.MISSING
    except OSError:
        return CertificateState.UNKNOWN
    return CertificateState.PRESENT


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


def file_by_state(path: Path, first: str, complete: str, state: CertificateState, *, writes: bool) -> ConfigFile:
    """Return a proxy's file: ``first``, which needs no certificate, if the file is written before there is one.

    Else the file is ``complete``, and replaces ``first`` where that was written before.
    """
    if writes and state is CertificateState.MISSING:
        return ConfigFile(path, first)
    return ConfigFile(path, complete, earlier=first)


def steps_until_certificate(
    plan: DeployPlan, file: str, start: Sequence[str], reload: str, complete: Sequence[str], *, written: bool
) -> list[str]:
    """Return the steps from a file that serves plain HTTP only, to the complete one.

    ``file`` is the file in words. ``start`` makes Nginx serve the file, and ``reload`` the renewed certificate. The
    commands ``complete`` write the complete file and make Nginx serve it; the first of them writes the first file too,
    unless that is ``written`` already.
    """
    return [
        f"# {plan.certificate_file} is not there yet, and Nginx does not start without it:",
        f"# {file} serves plain HTTP until the certificate is there",
        *([] if written else complete[:1]),
        *start,
        *certificate_steps(plan, reload),
        "# the same command again: now the file is complete",
        *complete,
    ]


def renewal_steps(plan: DeployPlan, reload: str, folder: Path = LETSENCRYPT) -> list[str]:
    """Return the steps without which certbot's renewal of a certificate would fail, or Nginx would not notice it.

    A certificate of ``certbot --standalone`` cannot be renewed, as Nginx has port 80. Without a hook Nginx goes on with
    the old certificate until it expires.
    """
    if plan.certificate or plan.http_port == 0:
        return []
    try:
        text = (folder / "renewal" / f"{plan.server_name}.conf").read_text(encoding="utf-8", errors="replace")
        has_hook = any((folder / "renewal-hooks/deploy").glob("*"))
    except OSError:
        return []
    values = dict(re.findall(r"^(\w+) = (.+)$", text, re.MULTILINE))
    if values.get("authenticator") == "standalone":
        reason = "certbot cannot renew this certificate by --standalone, as Nginx has port 80"
    elif not (has_hook or "renew_hook" in values or values.get("installer") == "nginx"):
        reason = "nothing tells Nginx about a renewed certificate"
    else:
        return []
    command = certbot_command(plan, reload).replace("--keep-until-expiring", "--force-renewal")
    return [f"# {reason}:", f"mkdir -p {WEBROOT}", command]
