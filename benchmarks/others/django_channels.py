"""Django Channels with its in-memory layer, on uvicorn: ``python -m others.django_channels PORT``.

https://channels.readthedocs.io/en/stable/topics/channel_layers.html. The layer is the one for a single process, with
room for more events than are ever under way; in production a Redis takes its place.
"""

from __future__ import annotations

import json
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from others import listening, pusher

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 10_000}}},
)
django.setup()


class Subscriber(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.joined: set[str] = set()
        await self.accept()
        await self.send(pusher.HELLO)

    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        channel = pusher.subscribed_channel(text_data)
        await self.channel_layer.group_add(channel, self.channel_name)
        self.joined.add(channel)
        await self.send(pusher.succeeded(channel))

    async def disconnect(self, code: int) -> None:
        for channel in self.joined:
            await self.channel_layer.group_discard(channel, self.channel_name)

    async def channel_event(self, event: dict[str, Any]) -> None:
        await self.send(event["text"])


async def publish(request: HttpRequest, app: str) -> JsonResponse:
    channel, text = pusher.published(json.loads(request.body))
    await get_channel_layer().group_send(channel, {"type": "channel.event", "text": text})
    return JsonResponse({}, headers={"Content-Length": "2"})  # otherwise it goes out in chunks


urlpatterns = [path("apps/<app>/events", publish)]
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("app/<key>", Subscriber.as_asgi())]),
    }
)

if __name__ == "__main__":
    listening.run(application)
