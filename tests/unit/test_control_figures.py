"""The reply with the figures of hosts: never larger than a reply may be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from soundpost.core.figures import AppFigures
from soundpost.errors import RequestError
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.processes import control_figures
from soundpost.server.processes.control_figures import OTHERS, bounded, shortened
from soundpost.server.processes.control_messages import MAX_REPLY, read_reply
from soundpost.server.webhooks.figures import EndpointFigures


def host(apps: int, **more: Any) -> HostFigures:
    figures = HostFigures(name="one", node="a", version="1", started_at=1.0, at=2.0, port=8080, **more)
    for number in range(apps):
        app_id = f"app-{number}"
        figures.apps[app_id] = AppFigures(connections=number, events=2, errors={4009: 1}, refusals={"origin": number})
        figures.channels[app_id] = {"public": 1, "presence": 2}
        figures.members[app_id] = 3
    return figures


def test_few_apps_are_all_there() -> None:
    reply = bounded([host(3), host(2)])
    assert reply.figures == [host(3), host(2)]
    assert read_reply(msgspec.json.encode(reply)).figures == reply.figures


def test_of_many_apps_the_busiest_keep_their_names() -> None:
    reply = bounded([host(20_000)])
    assert len(msgspec.json.encode(reply)) < MAX_REPLY
    assert reply.figures is not None
    [figures] = reply.figures
    assert len(figures.apps) == 1_001
    assert figures.apps["app-19999"].connections == 19_999
    assert sum(app.connections for app in figures.apps.values()) == sum(range(20_000))
    others = figures.apps[OTHERS]
    assert (others.events, others.errors) == (2 * 19_000, {4009: 19_000})
    assert others.refusals == {"origin": sum(range(19_000))}
    assert figures.channels[OTHERS] == {"public": 19_000, "presence": 38_000}
    assert figures.members[OTHERS] == 57_000


def test_what_was_asked_for_stays_as_it_is() -> None:
    figures = host(30)
    shortened(figures, 10)
    assert figures == host(30)


def test_webhooks_with_the_longest_queues_are_kept() -> None:
    webhooks = [EndpointFigures("1", f"https://{n}.example.com", waiting=n) for n in range(50)]
    assert [each.waiting for each in shortened(host(1, webhooks=webhooks), 3).webhooks] == [49, 48, 47]


def test_many_hosts_have_fewer_names_each() -> None:
    reply = bounded([host(300) for _ in range(20)])
    assert len(msgspec.json.encode(reply)) < MAX_REPLY
    assert {len(each.apps) for each in reply.figures or ()} == {101}


def test_more_hosts_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_figures, "MAX_REPLY", 10_000)
    with pytest.raises(RequestError, match="the figures of 20 hosts take more than 10000 bytes"):
        bounded([host(3)] * 20)
