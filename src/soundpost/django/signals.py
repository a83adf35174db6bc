"""The signal of Django that is sent for each event of a webhook."""

from typing import Final

from django.dispatch import Signal

webhook_received: Final = Signal()
"""Sent for each event of a webhook, with ``event`` and the event's class as the sender.

A receiver that raises has the server send the event again, to all receivers.
"""
