"""``soundpost deploy prometheus`` and ``grafana``, as promtool and a real Prometheus see them."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.core.figures import AppFigures
from soundpost.server.figures.host_figures import HostFigures, RedisFigures, WorkerFigures
from soundpost.server.metrics.exposition import metrics_text
from soundpost.server.webhooks.figures import EndpointFigures
from soundpost.tools.deploy.alert_rules import alerts
from soundpost.tools.deploy.grafana_board import CHARTS, NUMBERS
from support.command_line import CommandLine, command_line
from support.harness import until
from support.operated import CALM, Operated, operated
from support.prometheus_process import promtool, running_prometheus
from support.redis_process import free_port

__all__ = ["command_line"]

TOKEN: Final = "never-to-be-seen-0123"
APP: Final = '[[apps]]\nid = "1"\nkey = "app-key"\nsecret = "app-secret"\n'
SOMETIMES: Final = {
    "soundpost_refused_total",
    "soundpost_errors_sent_total",
    "soundpost_failed_authorizations_total",
    "soundpost_redis_hosts",
}
"""Metrics that there are only once something has happened, or with Redis."""
METRICS: Final = "[metrics]\nport = 9100\n"


def configure(command_line: CommandLine, *tables: str) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text("\n".join((*tables, APP)))
    file.chmod(0o600)


def write(command_line: CommandLine, *options: str) -> Path:
    """Write the files of a target; return the folder ``etc/prometheus``, within which the files name each other."""
    root = command_line.directory / "root"
    result = command_line.run("deploy", *options, "--write", "--root", str(root))
    assert result.exit_code == 0, result.stderr
    folder = root / "etc" / "prometheus"
    for file in folder.rglob("*.yml"):
        file.write_text(file.read_text().replace("/etc/prometheus", str(folder)))
    return folder


class TestPrometheus:
    @pytest.mark.parametrize(
        ("tables", "options"),
        [
            (METRICS, ()),
            (f'{METRICS}host = "::1"\ntoken = "{TOKEN}"\n', ()),
            (f"[server]\nmax_connections = 5000\n{METRICS}", ()),
            ("", ("--node", "10.0.0.1:9100", "--node", "[fd00::1]:9100")),
        ],
    )
    def test_promtool_accepts_configuration_and_rules(
        self, command_line: CommandLine, tables: str, options: tuple[str, ...]
    ) -> None:
        configure(command_line, tables)
        folder = write(command_line, "prometheus", "--whole", *options)
        assert "SUCCESS" in promtool("check", "config", str(folder / "prometheus.yml"))
        assert "SUCCESS" in promtool("check", "rules", str(folder / "soundpost" / "rules.yml"))

    def test_the_job_alone_is_that_of_the_whole_file(self, command_line: CommandLine) -> None:
        configure(command_line, f'{METRICS}token = "{TOKEN}"\n')
        job = yaml.safe_load((write(command_line, "prometheus") / "soundpost" / "scrape.yml").read_text())
        whole = yaml.safe_load((write(command_line, "prometheus", "--whole", "--force") / "prometheus.yml").read_text())
        assert job["scrape_configs"] == whole["scrape_configs"]
        assert job["scrape_configs"][0]["static_configs"] == [{"targets": ["127.0.0.1:9100"]}]

    def test_the_token_is_in_a_file_of_its_own_only(self, command_line: CommandLine) -> None:
        configure(command_line, f'{METRICS}token = "{TOKEN}"\n')
        printed = command_line.run("deploy", "prometheus")
        assert TOKEN not in printed.stdout + printed.stderr
        assert "--write also writes /etc/prometheus/soundpost/token" in printed.stderr
        assert "chown prometheus: /etc/prometheus/soundpost/token" in printed.stderr
        token = write(command_line, "prometheus") / "soundpost" / "token"
        assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == (TOKEN, 0o600)

    def test_a_server_without_metrics_is_refused_with_the_way_out(self, command_line: CommandLine) -> None:
        configure(command_line)
        result = command_line.run("deploy", "prometheus")
        assert result.exit_code == 1
        assert "the server has no metrics: set port = 9100 under [metrics]" in result.stderr
        configure(command_line, "[metrics]\nport = 0\n")
        assert "set metrics.port to a fixed one" in command_line.run("deploy", "prometheus").stderr

    def test_a_wrong_node_is_refused(self, command_line: CommandLine) -> None:
        configure(command_line, METRICS)
        result = command_line.run("deploy", "prometheus", "--node", "http://10.0.0.1:9100/metrics")
        assert result.exit_code == 1
        assert "--node 'http://10.0.0.1:9100/metrics': expected an address such as 10.0.0.1:9100" in result.stderr


class TestGrafana:
    def test_the_board_is_printed_as_grafana_imports_it(self, command_line: CommandLine) -> None:
        configure(command_line)
        result = command_line.run("deploy", "grafana")
        assert result.exit_code == 0, result.stderr
        board = json.loads(result.stdout)
        panels = board["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels) == len(NUMBERS) + len(CHARTS)
        places = [panel["gridPos"] for panel in panels]
        cells = [
            (x, y)
            for at in places
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(set(cells)) == len(cells), "no panel lies over another one"
        assert max(x for x, _ in cells) == 23
        assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "instance", "app"}

    def test_what_is_written_is_found_by_grafana(self, command_line: CommandLine) -> None:
        configure(command_line)
        root = command_line.directory / "root"
        for said in ("Wrote", "is up to date"):
            result = command_line.run("deploy", "grafana", "--write", "--root", str(root))
            assert result.stdout.count(said) == 2, result.stdout
        [provider] = yaml.safe_load((root / "etc/grafana/provisioning/dashboards/soundpost.yaml").read_text())[
            "providers"
        ]
        folder = root / provider["options"]["path"].lstrip("/")
        assert json.loads((folder / "soundpost.json").read_text())["title"] == "Soundpost"


SHOP: Final = {"instance": "a", "app": "1", "url": "https://shop.example"}
HEALTHY: Final = {
    'up{job="soundpost",instance="a"}': "1x120",
    'soundpost_loop_lag_seconds_bucket{instance="a",le="0.005"}': "0+600x120",
    'soundpost_loop_lag_seconds_bucket{instance="a",le="0.25"}': "0+600x120",
    'soundpost_loop_lag_seconds_bucket{instance="a",le="+Inf"}': "0+600x120",
    'soundpost_publish_seconds_bucket{instance="a",app="1",le="0.01"}': "0+600x120",
    'soundpost_publish_seconds_bucket{instance="a",app="1",le="2.5"}': "0+600x120",
    'soundpost_publish_seconds_bucket{instance="a",app="1",le="+Inf"}': "0+600x120",
    'soundpost_redis_up{instance="a"}': "1x120",
    'soundpost_worker_restarts_total{instance="a",worker="1"}': "1x120",
    'soundpost_certificate_end_timestamp_seconds{instance="a"}': "5184000x120",
    'process_open_fds{job="soundpost",instance="a"}': "100x120",
    'process_max_fds{job="soundpost",instance="a"}': "1000x120",
    'soundpost_slow_clients_closed_total{instance="a",app="1"}': "0+0.5x120",
    'soundpost_refused_total{instance="a",app="1",reason="origin"}': "0+6x120",
    'soundpost_failed_authorizations_total{instance="a",app="1",kind="subscription"}': "0+6x120",
    'soundpost_webhook_failed_events_total{instance="a",app="1",url="https://shop.example"}': "3x120",
    'soundpost_webhook_dropped_events_total{instance="a",app="1",url="https://shop.example"}': "0x120",
    'soundpost_webhook_waiting_events{instance="a",app="1",url="https://shop.example"}': "20x120",
    'soundpost_webhook_stopped{instance="a",app="1",url="https://shop.example"}': "0x120",
    'soundpost_connections{instance="a",app="1"}': "3900x120",
}
"""What a server that is well has, minute by minute: a first value, and what is added each time."""
FAULTS: Final = [
    ("Down", "up{", "0x120", {"job": "soundpost"}, "Soundpost on a does not answer"),
    (
        "LoopLag",
        'loop_lag_seconds_bucket{instance="a",le="0.005"}',
        "0x120",
        {},
        "The event loop of a is late by 247.5ms",
    ),
    (
        "SlowPublishing",
        'publish_seconds_bucket{instance="a",app="1",le="0.01"}',
        "0x120",
        {"app": "1"},
        "Publishing to app 1 on a takes 2.475s",
    ),
    ("RedisAway", "redis_up", "0x120", {}, "a does not reach Redis, and serves alone"),
    ("WorkersDie", "worker_restarts", "0+1x120", {}, "Workers of a have died 30 times in half an hour"),
    ("CertificateEnds", "certificate_end", "864000x120", {}, "The certificate of a ends in 9d 22h 30m 0s"),
    (
        "NearFileLimit",
        "process_open_fds",
        "850x120",
        {"job": "soundpost"},
        "a has 85% of the files open that it may open",
    ),
    (
        "SlowClients",
        "slow_clients",
        "0+3x120",
        {"app": "1"},
        "30 clients of app 1 were closed, as they did not read fast enough",
    ),
    (
        "ClientsRefused",
        "refused",
        "0+120x120",
        {"app": "1", "reason": "origin"},
        "a refuses 2 clients a second: origin",
    ),
    (
        "FailedAuthorizations",
        "failed_auth",
        "0+90x120",
        {"app": "1", "kind": "subscription"},
        "1.5 signatures a second are wrong in app 1: subscription",
    ),
    ("WebhooksFail", "webhook_failed", "0+2x120", SHOP, "20 events for https://shop.example of app 1 are lost"),
    ("WebhooksFail", "webhook_dropped", "0+2x120", SHOP, "20 events for https://shop.example of app 1 are lost"),
    ("WebhooksWait", "webhook_waiting", "2000x120", SHOP, "2k events wait for https://shop.example of app 1"),
    ("WebhooksStopped", "webhook_stopped", "1x120", SHOP, "https://shop.example of app 1 gets no events any more"),
    ("NearConnectionLimit", "connections", "4100x120", {}, "a has 4.1k connections of 5,000"),
]
"""An alert, the series that makes it, by its beginning, with its values, and labels and summary of the alert."""


def test_alerts_are_raised_by_what_is_wrong_and_by_nothing_else(command_line: CommandLine) -> None:
    configure(command_line, f"[server]\nmax_connections = 5000\n{METRICS}")
    file = write(command_line, "prometheus") / "soundpost" / "rules.yml"
    rules = {rule["alert"]: rule for rule in yaml.safe_load(file.read_text())["groups"][0]["rules"]}
    assert set(rules) == {f"Soundpost{name}" for name, *_ in FAULTS}
    tests = [rule_test(HEALTHY, {name: [] for name in rules})]
    for alert, beginning, values, labels, summary in FAULTS:
        [series] = [each for each in HEALTHY if each.removeprefix("soundpost_").startswith(beginning)]
        rule = rules[f"Soundpost{alert}"]
        raised = {
            "exp_labels": {"instance": "a", **labels, **rule["labels"]},
            "exp_annotations": {"summary": summary, "description": rule["annotations"]["description"]},
        }
        expected = {name: [raised] if rules[name] is rule else [] for name in rules}
        tests.append(rule_test({**HEALTHY, series: values}, expected))
    test_file = file.with_name("test.yml")
    test_file.write_text(json.dumps({"rule_files": [str(file)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(test_file))


def rule_test(series: dict[str, str], expected: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return a test of rules, as promtool reads it: series, and the alerts after 90 minutes."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "90m", "alertname": name, "exp_alerts": alerts} for name, alerts in expected.items()
        ],
    }


def names_in(expression: str) -> set[str]:
    """Return the names of metrics in an expression."""
    return set(re.findall(r"\b(?:soundpost|process)_[a-z_]+\b", re.sub(r"[\"'][^\"']*[\"']", "", expression)))


def test_all_metrics_in_rules_and_board_are_those_of_the_server() -> None:
    endpoint = EndpointFigures("1", "https://shop.example.com")
    host = HostFigures(name="a", node="a", version="1", started_at=1.0, at=2.0, port=1, certificate_ends_at=3.0)
    host.apps["1"] = AppFigures(errors={4009: 1}, refusals={"origin": 1}, failed_authorizations={"api": 1})
    host.channels["1"], host.members["1"] = {"public": 1}, 0
    host.workers, host.webhooks, host.redis = [WorkerFigures(0, 1)], [endpoint], RedisFigures("connected")
    there = set(re.findall(r"^([a-z_]+)[ {]", metrics_text(host).decode(), re.MULTILINE))
    wanted = [alert.expression for alert in alerts(5_000)]
    wanted += [line.expression for panel in (*NUMBERS, *CHARTS) for line in panel.lines]
    assert set().union(*map(names_in, wanted)) - {"soundpost"} <= there


def test_prometheus_collects_and_answers_all_that_rules_and_board_ask(command_line: CommandLine) -> None:
    metrics = f'[metrics]\nport = {free_port()}\ntoken = "{TOKEN}"\n'
    configure(command_line, metrics)
    config = write(command_line, "prometheus", "--whole") / "prometheus.yml"
    config.write_text(config.read_text().replace("15s", "1s"))
    away = WebhookSettings(url=f"http://127.0.0.1:{free_port()}/")
    with operated() as server:
        server.configure(CALM, (AppSettings(id="1", key="app-key", secret="app-secret", webhooks=(away,)),), metrics)
        server.start()
        watch(server, config)


def watch(server: Operated, config: Path) -> None:
    """Run Prometheus beside a server until it has seen the server's clients, events and end."""
    with (
        server.connect() as client,
        running_prometheus(config, config.parents[3] / "data") as prometheus,
    ):
        client.subscribe("orders")
        until(
            lambda: bool(prometheus.query('count_over_time(up{job="soundpost"}[1m]) > 1')), "the server was asked twice"
        )
        server.publish("orders", "placed")
        client.read_event()
        assert prometheus.value('up{job="soundpost"}') == 1
        assert prometheus.value('soundpost_connections{app="1"}') == 1
        until(
            lambda: bool(prometheus.query('increase(soundpost_events_published_total{app="1"}[1m]) > 0')),
            "the event is counted",
        )
        for panel in (*NUMBERS, *CHARTS):
            for line in panel.lines:
                asked = (
                    line.expression.replace("$instance", ".*").replace("$app", ".*").replace("$__rate_interval", "1m")
                )
                if not names_in(asked) & SOMETIMES:
                    assert prometheus.query(asked), f"{panel.title}: {asked}"
        rules = {rule["name"]: rule for rule in prometheus.rules()}
        assert len(rules) == len(alerts(None))
        assert {rule["health"] for rule in rules.values()} <= {"ok", "unknown"}, rules
        server.process.stop()
        until(lambda: prometheus.value('up{job="soundpost"}') == 0, "Prometheus notices that the server is gone")
        until(
            lambda: any(rule["name"] == "SoundpostDown" and rule["state"] == "pending" for rule in prometheus.rules()),
            "the alert is pending",
        )
