"""What people are told wherever they are."""

from soundpost import UserNotification


class Mentioned(UserNotification):
    """Somebody has written @name."""

    by: str
    room: str
    text: str
