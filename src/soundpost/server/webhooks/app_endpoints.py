"""The endpoints of one app, and the states that they were told of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.core.webhooks import WebhookEvent
from soundpost.server.webhooks.answers import EndpointClient
from soundpost.server.webhooks.endpoint import Endpoint, EndpointServices
from soundpost.server.webhooks.handover import HandedApp, HandedEndpoint, HandedEvent
from soundpost.server.webhooks.states import States
from soundpost.server.webhooks.waiting_event import WaitingEvent


class AppEndpoints:
    """The endpoints of one app. ``open_client`` opens the connections to a URL."""

    def __init__(self, services: EndpointServices, open_client: Callable[[str], EndpointClient]) -> None:
        self._services = services
        self._open_client = open_client
        self._by_key: dict[tuple[str, int], Endpoint] = {}  # see _keyed
        self.states = States()

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._by_key.values())

    def configure(self, app: AppSettings) -> None:
        """Take other endpoints. Those that stay keep what waits for them; events for those that are gone are done.

        A new endpoint was told of nothing, and one that starts again not of all: states that begin again are told
        again, to all endpoints.
        """
        before, self._by_key = self._by_key, {}
        for key, settings in _keyed(app.webhooks):
            endpoint = before.pop(key, None)
            if endpoint is None:
                endpoint = Endpoint(self._services, app, settings, self._open_client(settings.url))
                self.states.doubt_all()
            else:
                self._doubt_if_stopped(endpoint)
                endpoint.configure(app, settings)
            self._by_key[key] = endpoint
        for endpoint in before.values():
            self._remove(endpoint)

    def _doubt_if_stopped(self, endpoint: Endpoint) -> None:
        if endpoint.is_stopped:
            self.states.doubt_all()

    def remove_all(self) -> None:
        """Remove all endpoints; the events that wait for them are done."""
        for endpoint in self:
            self._remove(endpoint)

    def _remove(self, endpoint: Endpoint) -> None:
        self._services.settle_queue(endpoint.clear())
        endpoint.close()

    def follow(self, event: WebhookEvent) -> bool:
        """Return whether an endpoint is sent an event, or the one that begins or ends the same state."""
        return any(endpoint.follows(event) for endpoint in self)

    def put(self, waiting: WaitingEvent) -> None:
        """Queue an event for all endpoints that want it."""
        for endpoint in self:
            if endpoint.wants(waiting.event):
                endpoint.put(waiting)

    # Restart

    def handed_over(self) -> HandedApp:
        """Return what the next process gets; an event that waits for several endpoints once."""
        for endpoint in self:
            self._doubt_if_stopped(endpoint)
        indexes: dict[WaitingEvent, int] = {}
        endpoints = [
            HandedEndpoint(*key, [indexes.setdefault(waiting, len(indexes)) for waiting in endpoint.waiting()])
            for key, endpoint in self._by_key.items()
        ]
        held = [HandedEvent.of(end) for end in self.states.all_held()]
        events = [HandedEvent.of(waiting) for waiting in indexes]
        return HandedApp(self.states.all_notified(), held, events, endpoints)

    def take_over(self, app_id: str, handed: HandedApp, end_at: float) -> None:
        """Take what the process before had; ends that were held back are due at ``end_at``."""
        self.states.take_notified(handed.notified)
        if self._by_key.keys() - {(queue.url, queue.number) for queue in handed.endpoints}:
            self.states.doubt_all()
        for end in handed.held:
            if (state := end.event.state) is not None:
                self.states.hold(state, end.waiting(app_id), end_at)
        events = [event.waiting(app_id) for event in handed.events]
        for waiting in events:
            waiting.open = 1  # not done before it is in all queues
        for queue in handed.endpoints:
            endpoint = self._by_key.get((queue.url, queue.number))
            if endpoint is not None:
                for index in queue.waiting:
                    endpoint.put(events[index])
        self._services.settled(events)


def _keyed(webhooks: Iterable[WebhookSettings]) -> list[tuple[tuple[str, int], WebhookSettings]]:
    """Return endpoints with their keys: the URL, and a number for those that have a URL in common."""
    numbers: dict[str, int] = {}
    keyed = []
    for settings in webhooks:
        number = numbers.get(settings.url, 0)
        numbers[settings.url] = number + 1
        keyed.append(((settings.url, number), settings))
    return keyed
