"""Who may listen to what."""

from soundpost import channels


@channels.presence("rooms.{room:slug}")
def room(user, room: str) -> dict:
    """Everybody who has logged in; the others see this."""
    return {"name": user.username}


@channels.private("App.Models.User.{id:int}")
def notifications(user, id: int) -> bool:
    """One's own."""
    return user.pk == id
