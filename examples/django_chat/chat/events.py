"""Notifications, which a user gets on every page."""

from soundpost import UserNotification


class Mentioned(UserNotification):
    """Notification of a user whose @name is in a message."""

    by: str
    room: str
    text: str
