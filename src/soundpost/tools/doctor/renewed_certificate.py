"""Certificate files on this machine: whether there is a newer certificate than the one that Nginx serves."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from soundpost.config.settings import Settings
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.faults.connection import RENEWED
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.nginx_files import certificates_of
from soundpost.tools.doctor.plan import CheckPlan

_ENDING: Final = ("certificate-expired", "certificate-expires-soon")
_FIRST: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_TIME: Final = rb"(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
_VALIDITY: Final = re.compile(rb"\x30[\x1e\x20\x22]" + _TIME + _TIME)
"""``Validity`` of RFC 5280, 4.1: two times, each a UTCTime or a GeneralizedTime."""


class CertificateFile(NamedTuple):
    """PEM file, and the last day of its first certificate as ``2027-01-14``."""

    path: Path
    until: str


def with_renewed_file(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound:
    """Return a fault of a certificate's end with the way out for a newer file that is there, else ``found``."""
    if found.code not in _ENDING:
        return found
    today = datetime.fromtimestamp(plan.clock(), UTC).date().isoformat()
    newer = [each for each in _files(base_url.host, plan) if each.until > max(str(found.facts["date"]), today)]
    if not newer:
        return found
    steps = _renewal_steps(plan, base_url.host)
    hook = f" No hook tells Nginx about renewals; this command adds one: {steps[-1]}." if steps else ""
    facts = {**found.facts, "file": newer[0].path, "until": newer[0].until, "hook": hook}
    return FaultFound(found.code, RENEWED, **facts)


def _renewal_steps(plan: CheckPlan, name: str) -> list[str]:
    """Return the commands that certbot lacks to renew a site's certificate."""
    # Not on Windows, where the doctor runs, but no server is deployed.
    from soundpost.tools.deploy.certificates import renewal_steps
    from soundpost.tools.deploy.nginx_steps import RELOAD
    from soundpost.tools.deploy.plan import DeployPlan

    return renewal_steps(DeployPlan(settings=plan.settings or Settings(), server_name=name), RELOAD, plan.letsencrypt)


def _files(name: str, plan: CheckPlan) -> Iterator[CertificateFile]:
    """Yield the files of a site's certificate that this user may read."""
    files = (*certificates_of(name, plan.nginx), plan.letsencrypt / "live" / name / "fullchain.pem")
    for path in dict.fromkeys(files):
        try:
            until = _last_day(path.read_text(encoding="ascii", errors="replace"))
        except OSError:
            continue
        if until:
            yield CertificateFile(path, until)


def _last_day(pem: str) -> str:
    """Return the last day of the first certificate of a PEM file; empty if there is none."""
    first = _FIRST.search(pem)
    try:
        match = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(first[0])) if first else None
        if match is None:
            return ""
        text = (match[4] or match[3]).decode()
        form = "%Y%m%d%H%M%S" if match[4] else "%y%m%d%H%M%S"
        return datetime.strptime(text, form).replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        return ""
