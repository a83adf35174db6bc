"""Compose and Kubernetes files, read as those who take them do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.error import HTTPError

import msgspec
import pytest
import yaml

from soundpost.config import load
from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.app_settings import AppSettings, HistorySettings, RateLimiting, WebhookSettings
from soundpost.environment.toml_document import FILE_NAME
from soundpost.tools.deploy.containers import PRIVATE_NETWORKS
from soundpost.tools.deploy.docker import MOUNTED
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]

APP = '[[apps]]\nid = "123456"\nkey = "app-key"\nsecret = "app$secret"\nallowed_origins = ["a.example", "b.example"]\n'
SERVER = '[server]\nhostname = "ws.example.com"\npath = "ws"\ndrain_time = 20\nplayground = false\n'
REDIS = '[scaling]\nredis = "redis://:hush@redis.example.com:6379"\nprefix = "shop"\n'


@pytest.fixture
def configured(command_line: CommandLine) -> CommandLine:
    configure(command_line, SERVER + APP)
    return command_line


def configure(command_line: CommandLine, toml: str) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text(toml)
    file.chmod(0o600)


def compose(command_line: CommandLine, *options: str) -> Any:
    result = command_line.run("deploy", "compose", *options)
    assert result.exit_code == 0, result.stderr
    return yaml.safe_load(result.stdout)


def kubernetes(command_line: CommandLine, *options: str) -> dict[str, Any]:
    result = command_line.run("deploy", "kubernetes", *options)
    assert result.exit_code == 0, result.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(result.stdout)}


def test_compose_has_the_server_and_redis(configured: CommandLine) -> None:
    file = compose(configured)
    assert set(file["services"]) == {"soundpost", "redis"}
    server = file["services"]["soundpost"]
    assert server["environment"] == {
        "SOUNDPOST_APP_ID": "123456",
        "SOUNDPOST_APP_KEY": "app-key",
        "SOUNDPOST_APP_ALLOWED_ORIGINS": "a.example,b.example",
        "SOUNDPOST_SERVER_HOSTNAME": "ws.example.com",
        "SOUNDPOST_SERVER_PATH": "/ws",
        "SOUNDPOST_SERVER_DRAIN_TIME": "20",
        "SOUNDPOST_SERVER_TRUSTED_PROXIES": PRIVATE_NETWORKS,
        "SOUNDPOST_APP_SECRET_FILE": "/run/secrets/app_secret",
        "SOUNDPOST_REDIS_URL": "redis://redis:6379/0",
    }
    assert server["ports"] == ["127.0.0.1:8080:8080"]
    assert int(server["stop_grace_period"].rstrip("s")) > 25
    assert server["secrets"] == ["app_secret"]
    assert file["secrets"] == {"app_secret": {"file": "./secrets/app_secret"}}


def test_compose_with_nginx_opens_only_its_ports(configured: CommandLine) -> None:
    file = compose(configured, "--with-nginx", "--certificate", "/c/chain.pem", "--key", "/c/key.pem")
    assert "ports" not in file["services"]["soundpost"]
    nginx = file["services"]["nginx"]
    assert nginx["ports"] == ["443:443", "80:80"]
    assert "/c/chain.pem:/c/chain.pem:ro" in nginx["volumes"]
    configured.run("deploy", "compose", "--with-nginx", "--write", "--root", "image")
    text = (configured.directory / "image/nginx.conf").read_text()
    assert "server soundpost:8080;" in text
    assert "worker_connections 20512;" in text


def test_compose_uses_a_redis_that_is_there_already(configured: CommandLine) -> None:
    configure(configured, SERVER + REDIS + APP)
    file = compose(configured)
    assert set(file["services"]) == {"soundpost"}
    environment = file["services"]["soundpost"]["environment"]
    assert environment["SOUNDPOST_SCALING_REDIS_FILE"] == "/run/secrets/redis_url"
    assert environment["SOUNDPOST_SCALING_PREFIX"] == "shop"
    assert set(file["secrets"]) == {"app_secret", "redis_url"}


def test_several_apps_come_in_their_file(configured: CommandLine) -> None:
    configure(configured, SERVER + APP + APP.replace("123456", "2").replace("app-key", "key-2"))
    file = compose(configured)
    server = file["services"]["soundpost"]
    assert server["command"] == ["start", "--config", "/run/secrets/soundpost_toml"]
    assert file["secrets"] == {"soundpost_toml": {"file": "./soundpost.toml"}}
    assert not [name for name in server["environment"] if name.startswith("SOUNDPOST_APP_")]
    objects = kubernetes(configured)
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["start", "--config", "/run/secrets/soundpost/soundpost.toml"]
    assert "--from-file=soundpost.toml=soundpost.toml" in configured.run("deploy", "kubernetes").stderr


_OF_THIS_MACHINE = {"host", "port", "unix_socket", "tls", "playground"}


def other_than_default(field: msgspec.structs.FieldInfo) -> Any:
    """Return a valid value of a setting that is not its default."""
    names = {
        "path": "/ws",
        "public_url": "https://ws.example.com/ws",
        "trusted_proxies": ("10.0.0.1", "10.1.0.0/16"),
        "client_ip_header": "Forwarded",
        "workers": 3,
        "prefix": "shop",
        "log_format": "json",
        "log_level": "debug",
        "max_large_batch_size": 923,
        "state_dir": "/var/lib/soundpost",
        "allowed_origins": ("a.example", "https://b.example:8443"),
        "accept_client_events_from": "none",
        "history": (
            HistorySettings(channels=("private-orders.*", "a,b"), events=7, age=8, rewind=9),
            HistorySettings(channels=("*",)),
        ),
        "webhooks": (
            WebhookSettings(
                url="https://app.example/hooks?a=1,2",
                events=("member_added", "user_online"),
                channels=("presence-room.*",),
                headers={"X-Shop": "a, b"},
                batch_size=7,
                timeout=8,
            ),
            WebhookSettings(url="http://10.0.0.1/hooks"),
        ),
        "rate_limiting": RateLimiting(enabled=True, max_attempts=7, decay_seconds=8, terminate_on_limit=True),
    }
    if field.name in names:
        return names[field.name]
    if isinstance(field.default, bool):
        return not field.default
    return "ws.example.com" if field.type == str | None else (field.default or 0) + 77


def table(head: str, struct: Any) -> str:
    """Return a table of TOML with the settings that have a value."""
    values = {name: value for name, value in msgspec.to_builtins(struct).items() if value is not None}
    limits = values.pop("rate_limiting", {})
    tables = {name: values.pop(name, []) for name in ("history", "webhooks")}
    values.pop("tls", None)
    values |= {f"rate_limiting.{name}": value for name, value in limits.items()}
    lines = [head, *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    for key, entries in tables.items():
        for entry in entries:
            headers = entry.pop("headers", {})
            lines += [f"[[apps.{key}]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items())]
            lines += [f"headers.{name} = {json.dumps(value)}" for name, value in headers.items()]
    return "\n".join(lines)


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
@pytest.mark.parametrize("apps", [1, 2])
def test_a_container_has_every_setting(configured: CommandLine, target: str, apps: int) -> None:
    def changed(struct: Any) -> Any:
        fields = [each for each in msgspec.structs.fields(struct) if each.name not in _OF_THIS_MACHINE]
        return msgspec.structs.replace(
            struct, **{each.name: other_than_default(each) for each in fields if not each.required}
        )

    server = changed(ServerSettings())
    app = changed(AppSettings(id="1", key="app-key", secret="app-secret"))
    settings = Settings(server=server, apps=(app, msgspec.structs.replace(app, id="2", key="key-2"))[:apps])
    configure(configured, "\n".join([table("[server]", server), *(table("[[apps]]", app) for app in settings.apps)]))
    if target == "compose":
        environment = compose(configured)["services"]["soundpost"]["environment"]
    else:
        (container,) = kubernetes(configured)["Deployment"]["spec"]["template"]["spec"]["containers"]
        environment = {each["name"]: each["value"] for each in container["env"]}
    environment = {name: value for name, value in environment.items() if not name.endswith("_FILE")}
    environment.pop("SOUNDPOST_REDIS_URL", None)  # the server refuses it together with a history
    environment |= {"SOUNDPOST_APP_SECRET": "app-secret"} if apps == 1 else {}
    (folder := configured.directory / "inside").mkdir()
    file = configured.directory / "soundpost.toml" if apps == 2 else None
    loaded = load(environ=environment, directory=folder, config_file=file).settings
    header = server.client_ip_header
    assert loaded.apps == settings.apps
    assert msgspec.structs.replace(loaded.server, playground=None, client_ip_header=header) == server


def test_a_list_without_entries_stays_one_in_a_container(configured: CommandLine) -> None:
    configure(configured, SERVER + "trusted_proxies = []\n" + APP)
    said = compose(configured)["services"]["soundpost"]["environment"]["SOUNDPOST_SERVER_TRUSTED_PROXIES"]
    (folder := configured.directory / "inside").mkdir()
    found = load(environ={"SOUNDPOST_SERVER_TRUSTED_PROXIES": said}, directory=folder)
    assert found.settings.server.trusted_proxies == ()


def test_the_public_address_in_a_container_has_the_path_of_the_server(configured: CommandLine) -> None:
    for said in ("https://ws.example.com", "https://ws.example.com/"):
        configure(configured, SERVER.replace("drain_time", f'public_url = "{said}"\ndrain_time') + APP)
        environment = compose(configured)["services"]["soundpost"]["environment"]
        assert environment["SOUNDPOST_PUBLIC_URL"] == "https://ws.example.com/ws"


@pytest.mark.parametrize("place", [FILE_NAME, "environment", "secret"])
def test_the_image_asks_for_its_health_below_the_path_of_the_configuration(
    configured: CommandLine, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = APP + APP.replace("123456", "2").replace("app-key", "key-2")
    configure(configured, two)
    dockerfile = configured.run("deploy", "docker").stdout
    ((_, flag, program),) = [
        json.loads(line.partition("CMD ")[2]) for line in dockerfile.splitlines() if line.startswith("    CMD ")
    ]
    assert flag == "-c"
    with health_server("/ws/up") as port:
        monkeypatch.setenv("SOUNDPOST_SERVER_PORT", str(port))
        if place == "environment":
            monkeypatch.setenv("SOUNDPOST_SERVER_PATH", "/ws")
        elif place == "secret":
            (configured.directory / "secret.toml").write_text('[server]\npath = "ws"\n' + two)
            program = program.replace(MOUNTED, "secret.toml")
        else:
            configure(configured, '[server]\npath = "ws"\n' + two)
        exec(program, {})
        monkeypatch.setenv("SOUNDPOST_SERVER_PATH", "/other")
        with pytest.raises(HTTPError):
            exec(program, {})


@contextmanager
def health_server(path: str) -> Iterator[int]:
    """Run a server that knows one path; give its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == path else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_dollar_is_a_dollar_in_compose(configured: CommandLine) -> None:
    configure(configured, SERVER + APP.replace("app-key", "app$HOME"))
    environment = compose(configured)["services"]["soundpost"]["environment"]
    assert environment["SOUNDPOST_APP_KEY"] == "app$$HOME"


def test_kubernetes_objects_fit_together(configured: CommandLine) -> None:
    objects = kubernetes(configured)
    assert set(objects) == {"Deployment", "Service", "Ingress", "PodDisruptionBudget"}
    deployment = objects["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (
        deployment["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    (port,) = objects["Service"]["spec"]["ports"]
    assert port["targetPort"] == container["ports"][0]["name"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ws/up/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/ws/up"
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert all(isinstance(value, str) for value in environment.values())
    assert environment["SOUNDPOST_SERVER_PATH"] == "/ws"
    assert pod["terminationGracePeriodSeconds"] > 20 + int(environment["SOUNDPOST_SERVER_DRAIN_DELAY"]) + 5
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert pod["enableServiceLinks"] is False


def test_the_kubernetes_secret_has_the_names_the_pod_looks_for(configured: CommandLine) -> None:
    configure(configured, SERVER + REDIS + APP)
    configured.run("deploy", "kubernetes", "--write")
    secret = yaml.safe_load((configured.directory / "soundpost-secret.yaml").read_text())
    assert secret["stringData"] == {"app_secret": "app$secret", "redis_url": "redis://:hush@redis.example.com:6379"}
    written = (configured.directory / "soundpost.yaml").read_text()
    (container,) = next(yaml.safe_load_all(written))["spec"]["template"]["spec"]["containers"]
    files = {each["value"].rpartition("/")[2] for each in container["env"] if each["name"].endswith("_FILE")}
    assert files == set(secret["stringData"])


def test_the_ingress_waits_longer_than_any_silence_and_may_keep_the_api_inside(configured: CommandLine) -> None:
    def paths(*options: str) -> list[str]:
        (rule,) = kubernetes(configured, *options)["Ingress"]["spec"]["rules"]
        return [path["path"] for path in rule["http"]["paths"]]

    assert paths() == ["/ws/app", "/ws/apps"]
    assert paths("--api", "internal") == ["/ws/app"]
    annotations = kubernetes(configured)["Ingress"]["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in annotations.values())
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > 90


def test_several_pods_need_redis(configured: CommandLine) -> None:
    assert kubernetes(configured)["Deployment"]["spec"]["replicas"] == 1
    for options in (("--replicas", "2"), ("--autoscale", "4")):
        result = configured.run("deploy", "kubernetes", *options)
        assert result.exit_code == 1
        assert "over Redis only" in result.stderr
    configure(configured, SERVER + REDIS + APP)
    objects = kubernetes(configured, "--autoscale", "4")
    assert objects["Deployment"]["spec"]["replicas"] == 2
    assert objects["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] == 4
    assert objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "soundpost"
    fewer = configured.run("deploy", "kubernetes", "--replicas", "3", "--autoscale", "2")
    assert (fewer.exit_code, fewer.stdout) == (1, "")
    assert "--autoscale 2: there are 3 pods before it scales" in fewer.stderr


def test_the_class_of_the_ingress_is_one_text(configured: CommandLine) -> None:
    ingress = kubernetes(configured, "--ingress-class", "internal: yes")["Ingress"]
    assert ingress["spec"]["ingressClassName"] == "internal: yes"
