"""Variables that Kubernetes and Docker set in a container for a service named ``soundpost`` or ``reverb``.

Such a variable may have the name of a setting, ``SOUNDPOST_PORT``, and never says anything about that setting.
"""

from __future__ import annotations

import re
from typing import Final

from soundpost.environment.text import unquoted

_SERVICE_LINK: Final = re.compile(
    r"(SOUNDPOST|REVERB)(_\w+)??(_SERVICE_(HOST|PORT)(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
_SERVICE_PORT: Final = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def is_service_link(name: str, text: str) -> bool:
    """Return whether Kubernetes or Docker set a variable: ``SOUNDPOST_SERVICE_HOST``, ``SOUNDPOST_PORT_8080_TCP`` …"""
    return _SERVICE_LINK.fullmatch(name) is not None or is_service_port(name, text)


def is_service_port(name: str, text: str) -> bool:
    """Return whether a variable with a setting's name has a service's address: ``SOUNDPOST_PORT=tcp://10.0.0.1:8080``."""
    return name.endswith("_PORT") and _SERVICE_PORT.match(unquoted(text)) is not None
