"""Supervisor, which keeps the server running."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from soundpost.tools.deploy.layout import comment
from soundpost.tools.deploy.plan import ConfigFile, Deployment, DeployPlan
from soundpost.tools.deploy.service import Service, check_text, preparation_steps, warnings
from soundpost.tools.deploy.sizes import kernel_comment, open_files

_FILE: Final = Path("/etc/supervisor/conf.d/soundpost.conf")
_LOG: Final = "/var/log/supervisor/soundpost.log"


def deployment(plan: DeployPlan, service: Service, *, log: str | None = None) -> Deployment:
    """Return the program section and the limit of open files."""
    steps = [
        *preparation_steps(service),
        "systemctl restart supervisor   # once, for minfds; later: supervisorctl reread && supervisorctl update",
        "supervisorctl status soundpost",
    ]
    check_text(log or _LOG)
    files = (ConfigFile(_FILE, _text(plan, service, log or _LOG)),)
    return Deployment(files, tuple(steps), plan.backend, warnings(service))


def _text(plan: DeployPlan, service: Service, log: str) -> str:
    files = open_files(plan.connections)
    return f"""\
{comment(f"Soundpost under Supervisor, for {plan.connections:,} connections.", ";")}
;
{comment(kernel_comment(plan.connections, through_tcp=plan.unix_socket is None), ";")}

[supervisord]
; Open files of every program Supervisor starts, and so the limit of connections. Read when supervisord itself starts.
minfds={files}

[program:soundpost]
command={_escaped(shlex.join(service.command))}
directory={_escaped(str(service.directory))}
; Not root: nothing that faces the internet needs to be.
user={_escaped(service.user)}

; This file can be read by everybody. Secrets belong into {service.secrets}
; (mode 600, owned by {service.user}), or into files of their own that SOUNDPOST_APP_SECRET_FILE and the like name,
; not into 'environment'.
; Supervisor changes the user, but not what the environment says about it.
environment=HOME="{_escaped(service.home)}",USER="{_escaped(service.user)}",PYTHONUNBUFFERED="1"

autostart=true
; Back after a crash, after 'kill -9', and after an exit that nobody asked Supervisor for.
autorestart=true
; Up for so long, it counts as started. A server that cannot start (a wrong setting, the port in use) is tried again
; after 1, 2, 3 ... seconds, for half an hour; then Supervisor gives up: supervisorctl start soundpost.
startsecs=1
startretries=60

; New code and configuration, without a refused connection: supervisorctl signal HUP soundpost
; TERM: clients are disconnected over drain_time, waiting output is sent, then the server ends by itself.
; Supervisor kills it after this time, which is longer than the server's own limits together.
stopsignal=TERM
stopwaitsecs={plan.stop_seconds}
; The signal is for the first process only: it tells its workers, and ends those that hang. They are in process groups
; of their own and notice by themselves when it is gone.
stopasgroup=false
killasgroup=false

; All is logged to one file, rotated by Supervisor.
redirect_stderr=true
stdout_logfile={_escaped(log)}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=10
"""


def _escaped(value: str) -> str:
    """Escape ``%``, which begins ``%(name)s`` for Supervisor."""
    return value.replace("%", "%%")
