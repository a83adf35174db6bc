"""Server in a container: its settings as environment variables, its secrets, what differs from this machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from soundpost.config.history_section import history_text
from soundpost.config.load import LOCAL_HOSTS
from soundpost.config.options import OPTIONS
from soundpost.config.settings import ScalingSettings, ServerSettings, TlsSettings
from soundpost.config.webhooks_section import webhooks_text
from soundpost.core.app_settings import AppSettings, HistorySettings, WebhookSettings
from soundpost.defaults import DEFAULT_PORT
from soundpost.tools.deploy.plan import DeployPlan
from soundpost.wire.addresses import parse_public_url

_EMPTY: Final = "(empty)"
"""Word for a list without entries: a variable without a text counts as not set."""
UID: Final = 10_001
"""User id of the server in its image."""
_LEFT_OUT: Final = {("app", "id"), ("app", "key"), ("server", "host"), ("server", "port")}


def in_container(plan: DeployPlan) -> DeployPlan:
    """Return the plan inside a container: all addresses, no TLS, which the proxy in front has."""
    server = msgspec.structs.replace(
        plan.server, host="0.0.0.0", port=plan.server.port or DEFAULT_PORT, unix_socket=None, tls=TlsSettings()
    )
    return dataclasses.replace(plan, settings=msgspec.structs.replace(plan.settings, server=server), nodes=())


PRIVATE_NETWORKS: Final = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
"""Networks of proxies among containers, which never use the loopback address."""


def variables(plan: DeployPlan) -> dict[str, str]:
    """Return the settings that differ from the defaults, without those of the image, secrets, and local files."""
    defaults: dict[str, Any] = {
        "server": ServerSettings(),
        "scaling": ScalingSettings(),
        "app": AppSettings(id="", key="", secret=""),
    }
    app = plan.settings.apps[0]
    found = {"SOUNDPOST_APP_ID": app.id, "SOUNDPOST_APP_KEY": app.key}
    values: dict[str, Any] = {"server": plan.server, "scaling": plan.settings.scaling, "app": app}
    for keys, option in OPTIONS.items():
        if keys[0] not in values or keys in _LEFT_OUT or option.is_secret:
            continue
        if keys[0] == "app" and has_several_apps(plan):
            continue
        value, default = _at(values, keys), _at(defaults, keys)
        if value != default:
            found[option.variable] = _text(value)
    if has_several_apps(plan):
        del found["SOUNDPOST_APP_ID"], found["SOUNDPOST_APP_KEY"]
    if plan.server.public_url is not None:
        found["SOUNDPOST_PUBLIC_URL"] = _with_path(plan.server.public_url, plan.prefix)
    if not plan.server.playground:
        found.pop("SOUNDPOST_SERVER_PLAYGROUND", None)
    found.setdefault("SOUNDPOST_SERVER_TRUSTED_PROXIES", PRIVATE_NETWORKS)
    return found


def has_several_apps(plan: DeployPlan) -> bool:
    """Return whether several apps are configured: variables hold one, several come in their file."""
    return len(plan.settings.apps) > 1


def reachable_redis(plan: DeployPlan) -> str | None:
    """Return the URL of the configured Redis; None if a container cannot reach it, as on this machine's loopback."""
    url = plan.settings.scaling.redis
    if url is None or url.startswith("unix:") or urlsplit(url.split(",")[0]).hostname in LOCAL_HOSTS:
        return None
    return url


def variables_left_out(plan: DeployPlan) -> list[str]:
    """Return variables of settings that do not apply in a container, though a configuration file may set them."""
    server = plan.server
    names = ["UNIX_SOCKET"] if server.unix_socket is not None else []
    if server.tls.certificate is not None:
        names += ["TLS_CERTIFICATE", "TLS_KEY", "TLS_PASSPHRASE"]
    return [f"SOUNDPOST_SERVER_{name}" for name in names]


def warnings(plan: DeployPlan) -> tuple[str, ...]:
    """Return warnings about settings that do not apply in a container."""
    scaling = plan.settings.scaling
    named = [path for path in (scaling.ca_certificate, scaling.certificate, scaling.key) if path is not None]
    found = [f"{path} ([scaling]) is a file of this machine: mount it into the container" for path in named]
    if left_out := variables_left_out(plan):
        found.append(
            f"{', '.join(left_out)}: left out in the container, which listens on its port, without TLS, for "
            "the proxy in front of it"
        )
    return tuple(found)


def secrets(plan: DeployPlan) -> dict[str, tuple[str, str]]:
    """Return the secrets: by name the variable that names the secret's file, and the value."""
    found = {}
    if not has_several_apps(plan):
        found["app_secret"] = ("SOUNDPOST_APP_SECRET_FILE", plan.settings.apps[0].secret)
    redis = reachable_redis(plan)
    if redis is not None:
        found["redis_url"] = ("SOUNDPOST_SCALING_REDIS_FILE", redis)
        if plan.settings.scaling.sentinel_password is not None:
            password = plan.settings.scaling.sentinel_password
            found["sentinel_password"] = ("SOUNDPOST_SCALING_SENTINEL_PASSWORD_FILE", password)
    return found


def config_file(config: Path | None) -> str:
    """Return the path of the configuration file that holds several apps."""
    return str(config or "soundpost.toml")


def _at(values: dict[str, Any], keys: tuple[str, ...]) -> Any:
    value = values[keys[0]]
    for key in keys[1:]:
        value = getattr(value, key)
    return value


def _with_path(public_url: str, prefix: str) -> str:
    """Return the public address, with the server's path if it has no path."""
    parsed = parse_public_url(public_url)
    return public_url if parsed.path or not prefix else f"{public_url.rstrip('/')}{prefix}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, tuple):
        return str(value)
    if value and isinstance(value[0], HistorySettings):
        return history_text(value)
    if value and isinstance(value[0], WebhookSettings):
        return webhooks_text(value)
    return ",".join(value) or _EMPTY
