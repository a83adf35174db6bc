"""Faults of the machine on which the server runs."""

from __future__ import annotations

from typing import Final

from soundpost.documentation import page
from soundpost.tools.doctor.faults.fault import Fault

ANOTHER_SERVER_RUNS: Final = "another Soundpost server of this user runs"

FAULTS: Final = (
    Fault(
        "configuration-invalid",
        "the configuration cannot be used: {reason}",
        "The server would not start with it.",
        "Correct what it names.",
    ),
    Fault(
        "configuration-warning",
        "{reason}",
        "It works, but perhaps not as its author thinks.",
        f"All options: {page('configuration')}",
        "warning",
    ),
    Fault(
        "server-not-running",
        "nothing listens on {where}, where the server configured here should be{others}",
        "It was not started, or has ended.",
        "'soundpost start', or under Supervisor 'supervisorctl start soundpost', then look into its log.",
        other_fixes={
            ANOTHER_SERVER_RUNS: "Is the running server the one you mean? Then call the doctor where its settings are: "
            "in the folder of its soundpost.toml, or as 'manage.py soundpost doctor' or 'flask soundpost doctor'. If "
            "not: 'soundpost start'."
        },
    ),
    Fault(
        "port-in-use",
        "port {port} of {host} is taken by something else than the server configured here: {shown}",
        "Another program has the port, so Soundpost cannot start on it.",
        "'ss -ltnp' shows who it is. Stop it, or choose another port: SOUNDPOST_SERVER_PORT (port under [server]), in "
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
        "connections are dropped without a word; 'nf_conntrack: table full' is in the kernel's log.",
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
        "When everybody reconnects at once, after a restart, those beyond it wait for seconds.",
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
        "Redis is there, but does not take the user or password.",
        "Put them into the URL: redis://user:password@host:6379/0 (special characters percent-encoded).",
    ),
)
"""Faults looked for when a server is configured here, or when a number of connections is given."""
