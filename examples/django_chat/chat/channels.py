"""Channel routes: functions that decide who may subscribe to a channel."""

from soundpost import channels


@channels.presence("rooms.{room:slug}")
def room(user, room: str) -> dict:
    """Let every logged-in user into a room; the other members see the returned data."""
    return {"name": user.username}


@channels.private("App.Models.User.{id:int}")
def notifications(user, id: int) -> bool:
    """Let each user subscribe to their own notifications only."""
    return user.pk == id
