"""Options of ``soundpost deploy nginx``."""

from __future__ import annotations

from dataclasses import dataclass

from soundpost.tools.deploy.certificates import CertificateState


@dataclass(frozen=True, slots=True)
class NginxOptions:
    """Options for Nginx alone."""

    also_site: bool = False
    """True if the server name has a site already: write its locations only."""
    whole: bool = False
    """True for a whole ``nginx.conf``, of an Nginx with no other site."""
    http2_is_a_directive: bool = False
    """True for ``http2 on;`` (from Nginx 1.25.1) in place of ``listen … http2``."""
    ipv6: bool = True
    main_file: str = ""
    """Present content of ``nginx.conf``; empty if unknown."""
    certificate: CertificateState = CertificateState.PRESENT
    writes: bool = False
    """True if the files are written, and not only shown."""
    command: str = "soundpost deploy nginx --write"
    """Command that writes the files."""
