"""The server process of the tests: ``harness_server.py '{"settings": …, "playground": …, "debug": …}'``.

Prints where it listens as a line of JSON. Ends on SIGTERM, or when its standard input is closed: a test run that is
killed leaves no server behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import msgspec

from soundpost.config.settings import Settings
from soundpost.server.connections.listening import Listening
from soundpost.server.processes.logs import log_as_configured
from soundpost.server.processes.run import number_of_workers, run


def _end_with_parent() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _ready(listening: Listening) -> None:
    print(msgspec.json.encode(listening._asdict()).decode(), flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()


if __name__ == "__main__":
    arguments = msgspec.json.decode(sys.argv[1])
    settings = msgspec.convert(arguments["settings"], Settings)
    process = "" if number_of_workers(settings.server) == 1 else "parent"
    log_as_configured(settings.server, debug=arguments["debug"], process=process)
    run(
        settings,
        debug=arguments["debug"],
        playground=arguments["playground"],
        on_ready=_ready,
    )
