"""Tests of applications: the classes behind the fixtures of the pytest plugin.

``soundpost_fake`` (:class:`~soundpost.broadcasting.fake.Fake`), ``soundpost_auth`` (:class:`AuthorizationTester`),
``soundpost_webhooks`` (:class:`WebhookTester`), ``soundpost_server`` (:class:`LiveServer`). Names are loaded when first
used, as the plugin is in every test run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundpost.testing.authorization import AuthorizationTester
    from soundpost.testing.server import LiveServer
    from soundpost.testing.webhooks import SignedWebhook, WebhookTester, signed_webhook

__all__ = ["AuthorizationTester", "LiveServer", "SignedWebhook", "WebhookTester", "signed_webhook"]

_MODULES = {
    "AuthorizationTester": "authorization",
    "LiveServer": "server",
    "SignedWebhook": "webhooks",
    "WebhookTester": "webhooks",
    "signed_webhook": "webhooks",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
