"""What people say. A new message is broadcast to the others in its room."""

from django.conf import settings
from django.db import models

from soundpost import PresenceChannel
from soundpost.django import broadcasts


@broadcasts(
    on=PresenceChannel("rooms.{room}"), fields=["id", "author", "text", "at"], events=["created"], to_others=True
)
class Message(models.Model):
    """Something that was said in a room."""

    room = models.SlugField()
    author = models.CharField(max_length=30)
    text = models.CharField(max_length=500)
    at = models.DateTimeField(auto_now_add=True)


class UserOnline(models.Model):
    """Whether a user is online in any room, and since when. The server tells, see ``webhooks.py``."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="online")
    is_online = models.BooleanField()
    since = models.DateTimeField()
