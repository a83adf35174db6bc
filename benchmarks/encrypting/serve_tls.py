"""The server under measurement, with TLS of its own: ``serve_tls.py PORT CERTIFICATE KEY``."""

from __future__ import annotations

import sys

from soundpost.config.settings import ServerSettings, Settings, TlsSettings
from soundpost.core.app_settings import AppSettings
from soundpost.server.processes.run import run

port, certificate, key = sys.argv[1:]
tls = TlsSettings(certificate=certificate, key=key)
app = AppSettings(id="1", key="bench-key", secret="bench-secret", activity_timeout=3600)
settings = Settings(server=ServerSettings(host="127.0.0.1", port=int(port), tls=tls), apps=(app,))
run(settings, on_ready=lambda _: print("READY", flush=True))
