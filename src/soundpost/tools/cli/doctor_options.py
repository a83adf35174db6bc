"""Options of ``soundpost doctor``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """Options of the command line; None stands for an option not given."""

    url: str | None = None
    backend_url: str | None = None
    key: str | None = None
    app_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    origin: str | None = None
    env: tuple[Path, ...] = ()
    config: Path | None = None
    connections: int | None = None
    slow: bool = False
    insecure: bool = False
