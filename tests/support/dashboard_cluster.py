"""A cluster of two hosts as the dashboard's JSON API tells it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Final

Object = dict[str, Any]

_WORDS: Final = ("orders", "private-chat", "presence-room", "private-encrypted-notes", "cache-prices", "private-user")
_EVENTS: Final = ("OrderShipped", "message.sent", "typing", "price.changed", "App\\Events\\InvoicePaid")
_CLIENTS: Final = ("js 8.4.0", "js 7.6.0", "pusher-websocket-swift 10.1.5", "python 0.4.0", "")


class Cluster:
    """Channels, connections, refusals and endpoints; tests may replace all of it."""

    def __init__(self, channels: int = 137, connections: int = 412) -> None:
        self.now = time.time()
        self.apps: list[Object] = [
            {"id": "shop", "enabled": True, "history": True, "webhooks": 2},
            {"id": "staging", "enabled": True, "history": False, "webhooks": 0},
        ]
        self.missing: list[str] = []
        self.channels = [self._channel(number) for number in range(channels)]
        self.connections = [self._connection(number) for number in range(connections)]
        self.refusals: list[Object] = []
        self.endpoints: list[Object] = []

    def session(self) -> Object:
        """Return what the page is told at its start."""
        return {"version": "0.3.0", "host": "web-1", "cluster": True, "apps": self.apps}

    def hosts(self) -> list[Object]:
        """Return the figures of both hosts."""
        return [self._host("web-1", 0), self._host("web-2", 1)]

    def samples(self) -> list[Object]:
        """Return the last hour."""
        end = self.now // 5 * 5
        return [self.sample(end - 5 * back) for back in range(719, -1, -1)]

    def sample(self, at: float) -> Object:
        """Return five seconds: a busy hour with one burst."""
        wave = math.sin(at / 500) * 0.3 + math.sin(at / 47) * 0.1 + math.sin(at * 7.1) * 0.04
        burst = max(0.0, 1 - abs(at - self.now + 1100) / 120)
        events = 180 * (1 + wave) + 700 * burst
        return {
            "at": at // 5 * 5,
            "connections": round(4_200 * (1 + wave / 4) + 300 * burst),
            "subscriptions": round(11_000 * (1 + wave / 4)),
            "events": events,
            "deliveries": events * 61,
            "delivered_bytes": events * 61 * 212,
            "publish_p50": 0.0011 * (1 + wave / 3 + 2 * burst),
            "publish_p99": 0.0052 * (1 + wave + 6 * burst),
            "lag_max": 0.0018 * (1 + abs(wave) * 4 + 9 * burst),
            "cpu": 0.4 + 0.2 * wave + 0.9 * burst,
            "memory": round(412e6 * (1 + wave / 20) + 30e6 * burst),
        }

    def channel_page(self, query: Object) -> Object:
        """Return one page of channels."""
        found = [line for line in self.channels if query.get("search", "").lower() in line["name"].lower()]
        if query.get("kind"):
            found = [line for line in found if self._kind(line["name"]) == query["kind"]]
        return self._page("channels", "name", found, query)

    def connection_page(self, query: Object) -> Object:
        """Return one page of connections."""
        search = query.get("search", "").lower()
        found = [
            line
            for line in self.connections
            if any(
                search in str(line[name]).lower() for name in ("socket_id", "user_id", "address", "client", "origin")
            )
            and (not query.get("channel") or query["channel"] in line["channel_names"])
            and (not query.get("user") or query["user"] == line["user_id"])
        ]
        return self._page("connections", "socket_id", found, query)

    def channel(self, name: str) -> tuple[int, Object]:
        """Return one channel."""
        for line in self.channels:
            if line["name"] == name:
                members = [f"user-{number}" for number in range(line["members"] or 0)]
                kept = {"first": 1201, "last": 1300, "events": 100, "bytes": 41_210} if "orders" in name else None
                return 200, {
                    **line,
                    "kind": self._kind(name),
                    "members": members[:1000],
                    "member_count": len(members),
                    "history": kept,
                }
        return 404, {"error": f"Nobody is subscribed to {name}."}

    def connection(self, socket_id: str) -> tuple[int, Object]:
        """Return one connection."""
        for line in self.connections:
            if line["socket_id"] == socket_id:
                return 200, line
        return 404, {"error": f"No connection has the socket id {socket_id}."}

    def end(self, matches: Callable[[Object], bool]) -> tuple[int, Object | None]:
        """End the connections that match."""
        left = [line for line in self.connections if not matches(line)]
        found = len(left) < len(self.connections)
        self.connections = left
        return (204, None) if found else (404, {"error": "It has left already."})

    def receivers(self, name: str) -> int:
        """Return the number of a channel's subscribers."""
        return next((int(line["subscribers"]) for line in self.channels if line["name"] == name), 0)

    def _page(self, what: str, key: str, found: list[Object], query: Object) -> Object:
        behind = [line for line in found if line[key] > query.get("after", "")]
        limit = int(query.get("limit", 50))
        following = behind[limit - 1][key] if len(behind) > limit else None
        return {what: behind[:limit], "total": len(found), "next": following, "missing": self.missing}

    def _channel(self, number: int) -> Object:
        word = _WORDS[number % len(_WORDS)]
        return {
            "name": f"{word}.{number:04}",
            "subscribers": 1 + (number * 7919) % 412,
            "members": 1 + number % 40 if word.startswith("presence") else None,
            "last_event": _EVENTS[number % len(_EVENTS)] if number % 4 else "",
            "last_event_at": self.now - number * 13 if number % 4 else None,
        }

    def _connection(self, number: int) -> Object:
        names = [line["name"] for line in self.channels[number % 29 : number % 29 + 1 + number % 5]]
        return {
            "socket_id": f"{100_000_000 + number * 7717}.{200_000_000 + number * 104_729 % 7_000_000}",
            "since": self.now - number * 61,
            "address": f"198.51.100.{number % 250}" if number % 7 else "2001:db8:85a3::8a2e:370:7334",
            "origin": "https://shop.example.com" if number % 3 else "",
            "client": _CLIENTS[number % len(_CLIENTS)],
            "user_id": f"user-{number % 90}" if number % 4 else None,
            "channels": len(names),
            "waiting_bytes": 48_213 if number % 97 == 5 else 0,
            "worker": f"web-{1 + number % 2}, worker {number % 4}",
            "channel_names": names,
        }

    @staticmethod
    def _kind(name: str) -> str:
        for prefix, kind in (("private-encrypted-", "encrypted"), ("cache-", "cache"), ("presence-", "presence")):
            if name.startswith(prefix):
                return kind
        return "private" if name.startswith("private-") else "public"

    def _host(self, name: str, number: int) -> Object:
        now = time.time()
        lag = {"counts": [9000, 800, 90, 20, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0], "sum": 4.1}
        busy = self._app(2100 + number, now)
        return {
            "name": name,
            "node": f"a1b2c3d{number}",
            "version": "0.3.0",
            "started_at": self.now - 86_400 * 3 - 4000 * number,
            "at": now,
            "port": 8080,
            "draining": False,
            "apps": {"shop": busy, "staging": {**self._app(12, now), "deliveries": 310, "events": 40}},
            "channels": {"shop": {"public": 40, "private": 61, "presence": 23, "encrypted": 4, "cache": 9}},
            "members": {"shop": 371},
            "publish": {"counts": [400, 9000, 3000, 500, 100, 40, 10, 1, 0, 0, 0, 0, 0, 0], "sum": 21.0},
            "lag": lag,
            "webhook": lag,
            "refusals": {"unknown-key": 12},
            "workers": [
                {
                    "number": worker,
                    "pid": 4100 + 10 * number + worker,
                    "connections": 1050 + worker if worker else 0,
                    "cpu": 5000.0 + (now - self.now) * (0.01 + 0.3 * worker),
                    "memory": 61_000_000 + 22_000_000 * worker,
                    "lag_max": 0.0021,
                    "restarts": worker * number,
                }
                for worker in (0, 1, 2)
            ],
            "cpu": 10_000.0 + (now - self.now) * 0.62,
            "memory": 205_000_000,
            "open_files": 2_140,
            "max_open_files": 65_536,
            "history_bytes": 0,
            "history_events": 0,
            "webhooks": [],
            "redis": {"state": "connected", "hosts": 2, "waiting_events": 0, "waiting_bytes": 0, "reconnects": 1},
            "certificate_ends_at": self.now + 86_400 * 9 if number else self.now + 86_400 * 61,
        }

    def _app(self, connections: int, now: float) -> Object:
        return {
            "connections": connections,
            "subscriptions": connections * 3,
            "opened": connections * 40,
            "closed": connections * 39,
            "subscribed": connections * 90,
            "messages": connections * 300,
            "client_events": 912,
            "events": round(190_000 + (now - self.now) * 90),
            "deliveries": round(11_000_000 + (now - self.now) * 5_600),
            "delivered_bytes": 2_300_000_000,
            "sends": 9_000_000,
            "resumptions": 411,
            "gaps": 3,
            "slow_clients": 2,
            "errors": {"4009": 14, "4301": 2},
            "refusals": {"origin": 31},
            "failed_authorizations": {"subscription": 7},
        }


def busy_cluster() -> Cluster:
    """Return a cluster with refusals of every kind, and endpoints of which one fails."""
    cluster = Cluster()
    now = cluster.now

    def refusal(ago: float, kind: str, code: int, reason: str, **more: Any) -> Object:
        return {
            "at": now - ago,
            "kind": kind,
            "reason": reason,
            "code": code,
            "app_id": "",
            "address": "203.0.113.9",
            "origin": "",
            "channel": "",
            "count": 1,
            "left_out": 0,
            "worker": "web-1",
            **more,
        }

    cluster.refusals = [
        refusal(
            4,
            "connection",
            4009,
            "Origin not allowed: 'https://www.shop.example.com'. allowed_origins has shop.example.com. If the page is "
            "yours, add its host to allowed_origins of the app.",
            app_id="shop",
            origin="https://www.shop.example.com",
            count=31,
        ),
        refusal(70, "connection", 4001, "Application does not exist: no app has the key 'shop-kee'.", count=12),
        refusal(
            300,
            "subscription",
            4009,
            "The signature of the subscription does not match: the application signs with another secret than the app "
            "'shop' has. Compare SOUNDPOST_APP_SECRET there with apps.secret here.",
            app_id="shop",
            channel="private-chat.0001",
            count=7,
        ),
        refusal(
            3000,
            "api",
            401,
            "The request's auth_timestamp is 912 s old: at most 600 s are allowed. Set the clock of the machine.",
            app_id="shop",
        ),
        refusal(
            4000, "client-event", 4301, "The app does not take client events.", app_id="shop", channel="orders.0000"
        ),
    ]

    def sent(number: int, status: int | None, answer: str) -> Object:
        return {
            "id": f"wh-{number}",
            "at": now - number * 40,
            "events": ["channel_occupied", "member_added"][: 1 + number % 2],
            "status": status,
            "answer": answer,
            "seconds": 0.031 * (1 + number),
            "again": number == 3,
            "can_be_sent_again": number < 5,
        }

    figures = {"waiting": 0, "sent": 18_211, "failed": 0, "dropped": 0, "stopped": False, "failed_attempts": 2}
    cluster.endpoints = [
        {
            "number": 0,
            "url": "https://shop.example.com/webhooks",
            "events": ["channel_occupied", "channel_vacated", "member_added"],
            "channels": [],
            **figures,
            "last_status": 200,
            "last_error": "",
            "retry_at": None,
            "recent": [sent(number, 200, "answered 200") for number in range(6)],
        },
        {
            "number": 1,
            "url": "https://audit.example.com/…",
            "events": ["client_event"],
            "channels": ["private-*"],
            **figures,
            "waiting": 214,
            "failed": 12,
            "failed_attempts": 61,
            "last_status": 502,
            "last_error": "answered 502",
            "retry_at": now + 48,
            "recent": [
                sent(0, 502, "answered 502"),
                sent(1, None, "cannot be reached: no answer within 10 s"),
                sent(2, 200, "answered 200"),
            ],
        },
    ]
    return cluster
