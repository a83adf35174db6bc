"""Docker Compose with the server, Redis and, if wanted, Nginx with TLS."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soundpost.tools.deploy import docker, nginx
from soundpost.tools.deploy.certificates import (
    LETSENCRYPT,
    WEBROOT,
    CertificateState,
    file_by_state,
    steps_until_certificate,
)
from soundpost.tools.deploy.containers import (
    UID,
    config_file,
    has_several_apps,
    in_container,
    reachable_redis,
    secrets,
    variables,
    warnings,
)
from soundpost.tools.deploy.layout import quoted
from soundpost.tools.deploy.plan import BackendAddress, ConfigFile, Deployment, DeployPlan
from soundpost.tools.deploy.sizes import open_files_limit, proxy_open_files

_FILE: Final = Path("compose.yaml")
_NGINX_FILE: Final = Path("nginx.conf")


@dataclass(frozen=True, slots=True)
class ComposeOptions:
    """Options for Docker Compose alone."""

    with_nginx: bool = False
    config: Path | None = None
    folder: Path = Path()
    """Folder that the files go to."""
    certificate: CertificateState = CertificateState.PRESENT
    writes: bool = False
    """True if the files are written, and not only shown."""
    command: str = "soundpost deploy compose --with-nginx --write"
    """Command that writes the files."""


def deployment(plan: DeployPlan, options: ComposeOptions) -> Deployment:
    """Return ``compose.yaml``, its Dockerfile, its secrets as files and, with ``with_nginx``, ``nginx.conf``.

    As on a machine, ``nginx.conf`` serves plain HTTP only if it is written before the certificate is there.
    """
    with_nginx, config = options.with_nginx, options.config
    noted = warnings(plan)
    dockerfile = docker.text(plan)
    plan = in_container(plan)
    files = [
        ConfigFile(_FILE, _text(plan, with_nginx, config)),
        ConfigFile(docker.FILE, dockerfile, of_other_target=True),
    ]
    if with_nginx:
        in_front = dataclasses.replace(plan, nodes=(f"soundpost:{plan.server.port}",))
        first, complete = nginx.container_files(in_front)
        file = file_by_state(_NGINX_FILE, first, complete, options.certificate, writes=options.writes)
        files.append(file._replace(of_other_target=True))
    files += [
        ConfigFile(Path(f"secrets/{name}"), value, private=True, takes_comments=False)
        for name, (_, value) in secrets(plan).items()
    ]
    steps = ["docker compose up -d --build", "docker compose ps   # healthy?"]
    if os.getuid() == 0:
        owned = [f"secrets/{name}" for name in secrets(plan)] or [config_file(config)]
        steps.insert(0, f"chown {UID} {' '.join(owned)}   # the container's user; their mode stays 600")
    if not with_nginx:
        steps.append("# TLS for browsers: soundpost deploy nginx on this machine, or --with-nginx here")
    elif options.certificate is CertificateState.MISSING:
        compose = f"docker compose -f {options.folder.resolve() / _FILE}"
        reload = f"{compose} exec -T nginx nginx -s reload"
        finish = (options.command, f"{compose} restart nginx")
        steps = steps_until_certificate(plan, str(_NGINX_FILE), steps, reload, finish, written=options.writes)
    backend = BackendAddress("http", "soundpost" if with_nginx else "127.0.0.1", plan.server.port)
    return Deployment(tuple(files), tuple(steps), backend, noted)


def _text(plan: DeployPlan, with_nginx: bool, config: Path | None) -> str:
    own_redis = reachable_redis(plan) is None
    files = open_files_limit(plan.connections)
    names = secrets(plan)
    environment = {**variables(plan), **{variable: f"/run/secrets/{name}" for name, (variable, _) in names.items()}}
    if own_redis:
        environment["SOUNDPOST_REDIS_URL"] = "redis://redis:6379/0"
    user = UID if os.getuid() == 0 else os.getuid()
    group = UID if os.getuid() == 0 else os.getgid()
    granted = [*names, *(["soundpost_toml"] if has_several_apps(plan) else [])]
    command = f'    command: ["start", "--config", "{docker.MOUNTED}"]' if has_several_apps(plan) else ""
    if with_nginx:
        ports = (
            f"    # For other containers of this network: http://soundpost:{plan.server.port}\n"
            f'    expose: ["{plan.server.port}"]'
        )
    else:
        ports = (
            "    # For this machine only: Nginx and applications. Containers of this network use soundpost:"
            f'{plan.server.port}.\n    ports: ["127.0.0.1:{plan.server.port}:{plan.server.port}"]'
        )
    parts = [
        f"""\
# Soundpost with Docker Compose, for {plan.connections:,} connections: docker compose up -d --build
# No secret is in this file: they are in files beside it, mode 600, owned by the user below. Keep them out of Git.

services:
  soundpost:
    build: .
    image: {docker.IMAGE}
    restart: unless-stopped
    # Who may read the files of the secrets.
    user: "{user}:{group}"
    environment:
{_environment(environment)}""",
        command,
        "    secrets: [" + ", ".join(granted) + "]",
        ports,
        f"""\
    # Longer than drain_time and shutdown_timeout: clients are disconnected, waiting output is sent.
    stop_grace_period: {plan.stop_seconds}s
    # A file for each connection, and some of its own: this limits the connections.
    ulimits:
      nofile: {{soft: {files}, hard: {files}}}
    sysctls:
      net.core.somaxconn: "4096"
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]{_DEPENDS if own_redis else ""}
{_LOGGING}""",
        _redis() if own_redis else "",
        _nginx(plan) if with_nginx else "",
        _secrets(granted, config),
    ]
    return "\n".join(part for part in parts if part) + "\n"


_DEPENDS: Final = """
    depends_on: [redis]"""
_LOGGING: Final = """\
    logging:
      driver: json-file
      options: {max-size: "20m", max-file: "5"}"""


def _environment(variables: dict[str, str]) -> str:
    lines = [f"{name}: {quoted(value).replace('$', '$$')}" for name, value in variables.items()]
    return "\n".join(f"      {line}" for line in lines)


def _redis() -> str:
    return f"""
  # What makes several hosts one: point them to the same Redis. Nothing in it needs to outlive it.
  redis:
    image: redis:7-alpine
    restart: unless-stopped
    command: ["redis-server", "--save", "", "--appendonly", "no"]
    healthcheck:
      test: ["CMD", "redis-cli", "ping"]
      interval: 10s
      timeout: 5s
      retries: 3
    read_only: true
    cap_drop: [ALL]
    user: "999:1000"
    security_opt: ["no-new-privileges:true"]
{_LOGGING}"""


def _nginx(plan: DeployPlan) -> str:
    files = proxy_open_files(plan.connections)
    plain = f', "{plan.http_port}:{plan.http_port}"' if plan.http_port else ""
    if plan.certificate_file.startswith(f"{LETSENCRYPT}/"):
        certificates = f'      - "{LETSENCRYPT}:{LETSENCRYPT}:ro"  # all of it: live/ has links into archive/'
    else:
        certificates = "\n".join(
            f'      - "{path}:{path}:ro"' for path in dict.fromkeys((plan.certificate_file, plan.key_file))
        )
    return f"""
  # TLS for browsers.
  nginx:
    image: nginx:1.28-alpine
    restart: unless-stopped
    ports: ["{plan.tls_port}:{plan.tls_port}"{plain}]
    volumes:
      - "./{_NGINX_FILE}:/etc/nginx/nginx.conf:ro"
      - "{WEBROOT}:{WEBROOT}:ro"  # certbot's webroot
{certificates}
    ulimits:
      nofile: {{soft: {files}, hard: {files}}}
    depends_on: [soundpost]
{_LOGGING}"""


def _secrets(names: list[str], config: Path | None) -> str:
    paths = {"soundpost_toml": f"./{config_file(config)}" if config is None else str(config)}
    lines = [f"  {name}:\n    file: {quoted(paths.get(name, f'./secrets/{name}'))}" for name in names]
    return "\n".join(["", "secrets:", *lines])
