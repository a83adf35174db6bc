"""What people say. A new message is broadcast to the others in its room."""

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
