"""Models of the chat. A new message is broadcast to the others in its room."""

from django.conf import settings
from django.db import models

from soundpost import PresenceChannel
from soundpost.django import broadcasts


@broadcasts(
    on=PresenceChannel("rooms.{room}"), fields=["id", "author", "text", "at"], events=["created"], to_others=True
)
class Message(models.Model):
    """A message in a room."""

    room = models.SlugField()
    author = models.CharField(max_length=30)
    text = models.CharField(max_length=500)
    at = models.DateTimeField(auto_now_add=True)


class UserOnline(models.Model):
    """State of a user: online in a room or not, and since when; written by ``webhooks.py``."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="online")
    is_online = models.BooleanField()
    since = models.DateTimeField()
