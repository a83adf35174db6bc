"""systemd, which keeps the server running, knows when the server is ready, and notices when it hangs."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from soundpost.config.load import LOCAL_HOSTS
from soundpost.tools.deploy.layout import comment
from soundpost.tools.deploy.plan import ConfigFile, Deployment, DeployPlan
from soundpost.tools.deploy.service import Service, preparation_steps, warnings
from soundpost.tools.deploy.sizes import kernel_comment, open_files_limit

_FILE: Final = Path("/etc/systemd/system/soundpost.service")
_HOMES: Final = ("/home/", "/root/", "/run/user/")


def deployment(plan: DeployPlan, service: Service) -> Deployment:
    """Return the deployment of one unit file."""
    steps = [
        *preparation_steps(service),
        "systemctl daemon-reload && systemctl enable --now soundpost",
        "systemctl status soundpost; journalctl -u soundpost -f",
    ]
    return Deployment((ConfigFile(_FILE, _text(plan, service)),), tuple(steps), plan.backend, warnings(service))


def _text(plan: DeployPlan, service: Service) -> str:
    return f"""\
{comment(f"Soundpost under systemd, for {plan.connections:,} connections.")}
#
{comment(kernel_comment(plan.connections, through_tcp=plan.unix_socket is None))}

[Unit]
Description=Soundpost, realtime server (Pusher protocol)
Wants=network-online.target
After=network-online.target{_redis(plan)}
# Never give up, however often it could not start.
StartLimitIntervalSec=0

[Service]
# It says itself when it is ready (it listens), when it stops, and every few seconds that it is alive: if it does not
# for {_WATCHDOG} seconds, it hangs, and is killed and started again.
Type=notify
NotifyAccess=main
WatchdogSec={_WATCHDOG}
ExecStart={" ".join(map(_quoted, service.command))}
# systemctl reload soundpost: new code and configuration, without a refused connection.
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory={str(service.directory).replace("%", "%%")}
User={service.user}

# This file can be read by everybody: secrets belong into {service.secrets}
# (mode 600, owned by {service.user}), or into this file of SOUNDPOST_... variables (mode 600, root's):
EnvironmentFile=-/etc/soundpost/environment

Restart=always
RestartSec=1
# TERM is for the first process, which tells its workers; clients are disconnected over drain_time, and waiting
# output is sent. Processes that still run after this time are killed: it is longer than drain_time + shutdown_timeout.
KillMode=mixed
TimeoutStopSec={plan.stop_seconds}
TimeoutStartSec=60

# A file for each connection, and some of its own. This is the limit of connections, and so never a tight one.
LimitNOFILE={open_files_limit(plan.connections)}

# For what it puts there: /run/soundpost, which Nginx may enter (server.unix_socket = "/run/soundpost/soundpost.sock").
RuntimeDirectory=soundpost
RuntimeDirectoryMode=0755
{_writable(plan)}
# It reads its configuration, talks over sockets, starts its workers; nothing else is open to it.
UMask=0077
NoNewPrivileges=true
CapabilityBoundingSet={_capabilities(plan)}
AmbientCapabilities={_capabilities(plan)}
ProtectSystem=strict
ProtectHome={_protect_home(service)}
PrivateTmp=true
PrivateDevices=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
RemoveIPC=true
LockPersonality=true
MemoryDenyWriteExecute=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


_WATCHDOG: Final = 30


def _redis(plan: DeployPlan) -> str:
    """Return the units of a Redis on this machine, to start before the server; empty for another Redis."""
    url = plan.settings.scaling.redis
    if url is None or (not url.startswith("unix:") and urlsplit(url.split(",")[0]).hostname not in LOCAL_HOSTS):
        return ""
    return " redis-server.service redis.service valkey.service"


def _writable(plan: DeployPlan) -> str:
    """Return the line for the Unix socket's folder, if that is outside of the service's own."""
    folder = None if plan.unix_socket is None else str(Path(plan.unix_socket).parent)
    if folder is None or folder == "/run/soundpost" or folder.startswith("/run/soundpost/"):
        return ""
    return f"ReadWritePaths={folder}\n"


def _capabilities(plan: DeployPlan) -> str:
    return "CAP_NET_BIND_SERVICE" if plan.unix_socket is None and plan.server.port < 1024 else ""


def _protect_home(service: Service) -> str:
    """Return ``true`` if neither the program nor its configuration is in a home directory, else ``read-only``."""
    paths = (*service.command, f"{service.directory}/")
    return "read-only" if any(path.startswith(_HOMES) for path in paths) else "true"


def _quoted(word: str) -> str:
    """Quote a word of a command line, where ``%`` and ``$`` have a meaning."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if set(escaped) & set(" \t'\"\\;") else escaped
