"""Faults of the machine on which the server runs."""

from __future__ import annotations

from typing import Final

from soundpost.documentation import page
from soundpost.tools.doctor.faults.fault import Fault

ANOTHER_SERVER_RUNS: Final = "another Soundpost server of this user runs"
NOT_READABLE: Final = "this user may not read the file"
SERVER_HAS_WORKERS: Final = "the server has workers"
SERVER_IS_STOPPED: Final = "a signal has stopped the server"
WORKERS_ARE_STOPPED: Final = "a signal has stopped workers"

FAULTS: Final = (
    Fault(
        "configuration-invalid",
        "the configuration cannot be used: {reason}",
        "The server would not start with it.",
        "Correct the named value.",
        other_fixes={
            NOT_READABLE: "Call it as root ('sudo soundpost doctor'), or as the server's user ('sudo -u soundpost "
            "soundpost doctor'): the file holds secrets, and only they may read it."
        },
    ),
    Fault(
        "configuration-warning",
        "{reason}",
        "The configuration works, but perhaps not as intended.",
        f"All options: {page('configuration')}",
        "warning",
    ),
    Fault(
        "file-unreadable",
        "the user {user}, as whom the server runs, may not read {file}",
        "The server reads it at its next start or restart, which would fail.",
        "'chown {user} {file}' (its mode stays 600), and give the user the right to enter every folder above it.",
        "warning",
    ),
    Fault(
        "server-not-running",
        "nothing listens on {where}, where the server configured here should be{others}",
        "The server was not started, or has ended.",
        "'soundpost start', or under Supervisor 'supervisorctl start soundpost', then look into its log.{log}",
        other_fixes={
            ANOTHER_SERVER_RUNS: "Is the running server the one you mean? Then call the doctor where its settings are: "
            "in the folder of its soundpost.toml, or as 'manage.py soundpost doctor' or 'flask soundpost doctor'. Was "
            "the port changed here since its start? Then 'soundpost restart --wait --port' with the port that it has "
            "now (with workers: stop it, and start it again).{log} If it is another server: 'soundpost start'."
        },
    ),
    Fault(
        "server-hangs",
        "the server{process} accepts connections at {where}, but did not answer within {seconds} s{state}",
        "A signal has stopped the process, or the process waits for a lock, a disk or swap. The kernel still accepts "
        "its connections.",
        "Look into its log, and at its CPU ('top'). Then 'systemctl restart soundpost', or 'supervisorctl restart "
        "soundpost'; a process that does not end by it: 'kill -KILL'.",
        other_fixes={SERVER_IS_STOPPED: "'kill -CONT {pid}' lets it go on."},
    ),
    Fault(
        "worker-hangs",
        "{which} of the server gave no answer: the clients of a worker that hangs get nothing",
        "A signal has stopped the worker, or the worker is busy for a long time. The server replaces a worker that "
        "does not answer for half a minute.",
        "Call the doctor again in a minute. If it stays: look into the server's log, and call 'soundpost restart "
        "--wait'.",
        other_fixes={WORKERS_ARE_STOPPED: "'kill -CONT {pids}' lets them go on; 'soundpost restart' replaces them."},
    ),
    Fault(
        "configuration-not-loaded",
        "the server that runs at {where}{process} has another configuration than this folder: {shown}",
        "A server reads its configuration when it starts, restarts or reloads; since then the configuration was "
        "changed.",
        "'soundpost restart --wait'. Is it another Soundpost? Then give this one another port (port under [server]).",
        other_fixes={
            SERVER_HAS_WORKERS: "Stop the server and start it again ('systemctl restart soundpost', or 'supervisorctl "
            "restart soundpost'): with workers, 'soundpost restart' does not change address and path."
        },
    ),
    Fault(
        "server-has-other-apps",
        "the server that runs at {inside}{process} does not have the app {app_id} as it is configured here: {reason}",
        "The configuration was changed after the server read it, or another Soundpost has the port, with apps of its "
        "own.",
        "'soundpost reload' lets the server read its apps again. Is it another server, of another folder? Then give "
        "this one another port: port under [server] (SOUNDPOST_SERVER_PORT).",
    ),
    Fault(
        "port-in-use",
        "port {port} of {host} belongs to another program than the server configured here: {shown}",
        "Another program has the port, so Soundpost cannot start on it.",
        "'ss -ltnp' shows the program. Stop it, or choose another port: SOUNDPOST_SERVER_PORT (port under [server]), "
        "in "
        "Nginx the 'upstream' block or 'proxy_pass', for applications SOUNDPOST_PORT.",
    ),
    Fault(
        "open-files-too-low",
        "{whose} may open {limit} files, {needed} are needed for {connections} connections",
        "Every connection is an open file. Beyond the limit, clients are refused.",
        "systemd: 'LimitNOFILE={needed}'; Supervisor: 'minfds={needed}' in [supervisord]; a shell: 'ulimit -n "
        "{needed}' before the start. Nginx needs twice as many: 'worker_rlimit_nofile', 'worker_connections'.",
    ),
    Fault(
        "conntrack-too-low",
        "the kernel's firewall can follow {limit} connections (nf_conntrack_max), {needed} are needed",
        "Every connection takes a place, behind a proxy on the same machine two. When the table is full, new "
        "connections are dropped; only the kernel's log says so: 'nf_conntrack: table full'.",
        "sysctl -w net.netfilter.nf_conntrack_max={needed}, and the same in /etc/sysctl.d/.",
    ),
    Fault(
        "port-range-too-low",
        "a proxy here can open {limit} connections to one address of the server (ip_local_port_range), {needed} are "
        "needed",
        "Each connection from the proxy to the server takes a local port, and these are limited per address and port "
        "of the server.",
        "sysctl -w net.ipv4.ip_local_port_range='1024 65535'. For more than 64,000 connections: several addresses or "
        "ports in Nginx's upstream block (127.0.0.1:8080, 127.0.0.2:8080, …).",
    ),
    Fault(
        "somaxconn-too-low",
        "the kernel lets {limit} new connections wait (somaxconn), the server asks for {needed}",
        "When all clients reconnect at once after a restart, further connections wait for seconds.",
        "sysctl -w net.core.somaxconn={needed}, and the same in /etc/sysctl.d/.",
        "warning",
    ),
    Fault(
        "redis-unreachable",
        "{reason}",
        "The server is configured to act as one with others over Redis, and cannot reach it: it serves alone.",
        "Start Redis, or correct [scaling] redis (SOUNDPOST_REDIS_URL); open its port between the machines.",
    ),
    Fault(
        "redis-login-failed",
        "{reason}",
        "Redis answers, but refuses the user or password.",
        "Put them into the URL: redis://user:password@host:6379/0 (special characters percent-encoded).",
    ),
)
"""Faults looked for when a server is configured here, or when a number of connections is given."""
