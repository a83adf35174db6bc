"""Webhooks on their way from a record to the application's endpoints."""

from soundpost.server.webhooks.dispatcher import WebhookDispatcher

__all__ = ["WebhookDispatcher"]
