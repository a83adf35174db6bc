"""Docker image with the server."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from soundpost import __version__
from soundpost.tools.deploy.containers import UID, in_container, variables_left_out, warnings
from soundpost.tools.deploy.layout import quoted
from soundpost.tools.deploy.plan import ConfigFile, Deployment, DeployPlan
from soundpost.tools.deploy.sizes import open_files_limit

FILE: Final = Path("Dockerfile")
IMAGE: Final = f"soundpost:{__version__}"
MOUNTED: Final = "/run/secrets/soundpost_toml"
"""File with several apps in a container of Compose."""


def deployment(plan: DeployPlan) -> Deployment:
    """Return the deployment of a Dockerfile, which needs nothing from its folder."""
    noted, dockerfile = warnings(plan), text(plan)
    plan = in_container(plan)
    port = plan.server.port
    files = open_files_limit(plan.connections)
    run = (
        f"docker run -d --name soundpost --restart unless-stopped -p 127.0.0.1:{port}:{port} --ulimit nofile={files} "
        f"--stop-timeout {plan.stop_seconds} --user $(id -u):$(id -g) "
        f"-v $PWD/soundpost.toml:/etc/soundpost/soundpost.toml:ro {IMAGE}"
    )
    steps = (
        f"docker build -t {IMAGE} .",
        "# soundpost.toml holds secrets and has mode 600: the container runs as its owner, to read it",
        run,
    )
    return Deployment((ConfigFile(FILE, dockerfile),), steps, plan.backend, noted)


def text(plan: DeployPlan) -> str:
    """Return the text of the Dockerfile."""
    unset = "".join(f" \\\n    {name}=null" for name in variables_left_out(plan))
    plan = in_container(plan)
    check = (
        "import os, pathlib as p, urllib.request as r; from soundpost.config import load; "
        f"f = p.Path('{MOUNTED}'); "
        "s = load(environ=os.environ, directory=p.Path(), config_file=f if f.is_file() else None).settings.server; "
        "r.urlopen(f'http://127.0.0.1:{s.port}{s.path}/up', timeout=4)"
    )
    path = f" \\\n    SOUNDPOST_SERVER_PATH={plan.prefix}" if plan.prefix else ""
    return f"""\
# Soundpost as an image. There is no secret in it: they come when it is run, as files
# (SOUNDPOST_APP_SECRET_FILE=/run/secrets/... or a whole /etc/soundpost/soundpost.toml) or as variables.

FROM python:3.12-slim AS build
# The fan-out of events is in C; without a compiler it would be installed in Python, and be slower.
RUN apt-get update \\
    && apt-get install -y --no-install-recommends gcc libc6-dev \\
    && rm -rf /var/lib/apt/lists/*
# Any that pip takes: a version, a URL of a repository (git+https:// also needs git above).
ARG SOUNDPOST="soundpost=={__version__}"
RUN python -m venv /opt/soundpost \\
    && /opt/soundpost/bin/pip install --no-cache-dir "$SOUNDPOST"

FROM python:3.12-slim
COPY --from=build /opt/soundpost /opt/soundpost
ENV PATH=/opt/soundpost/bin:$PATH \\
    PYTHONUNBUFFERED=1 \\
    SOUNDPOST_SERVER_HOST=0.0.0.0 \\
    SOUNDPOST_SERVER_PORT={plan.server.port}{path}{unset}
# soundpost.toml and .env are looked for here.
WORKDIR /etc/soundpost
# Not root. A number, so that Kubernetes can see it (runAsNonRoot).
USER {UID}:{UID}
EXPOSE {plan.server.port}

# It runs. The path is that of the configuration, as the server reads it. Whether it wants clients at the moment is
# another question, for load balancers: /up/ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \\
    CMD ["python", "-c", {quoted(check)}]

# A stop disconnects clients over drain_time and sends waiting output: docker stop --time {plan.stop_seconds} allows it.
STOPSIGNAL SIGTERM
# The server takes care of signals and of its workers itself: no tini is needed.
ENTRYPOINT ["soundpost"]
CMD ["start"]
"""
