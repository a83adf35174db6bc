"""Views of the chat: login, logout, a room, and sending a message."""

import re

from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from chat.events import Mentioned
from chat.models import Message, UserOnline
from soundpost import broadcast

User = get_user_model()


def log_in(request):
    """Log a user in by a name, without a password, since this is an example."""
    name = request.POST.get("name", "").strip()
    if re.fullmatch(r"\w{1,30}", name):
        login(request, User.objects.get_or_create(username=name)[0])
        return redirect("/")
    return render(request, "chat/login.html", {"wrong": request.method == "POST"})


@require_POST
def log_out(request):
    """Log the user out."""
    logout(request)
    return redirect("login")


@login_required
def room(request, room):
    """Show a room with its last messages."""
    rooms = sorted({"lobby", "music", "python", room, *Message.objects.values_list("room", flat=True).distinct()})
    messages = Message.objects.filter(room=room).order_by("-id")[:50][::-1]
    others = UserOnline.objects.exclude(user=request.user).order_by("-is_online", "-since").select_related("user")[:20]
    return render(request, "chat/room.html", {"room": room, "rooms": rooms, "messages": messages, "others": others})


@login_required
@require_POST
def send(request, room):
    """Save a message, which the model broadcasts to the others, and notify the mentioned user."""
    text, me = request.POST.get("text", "").strip(), request.user
    if not 1 <= len(text) <= 500:
        return HttpResponseBadRequest("A message has 1 to 500 characters.")
    message = Message.objects.create(room=room, author=me.username, text=text)
    for user in User.objects.filter(username__in=re.findall(r"@(\w+)", text)).exclude(pk=me.pk):
        broadcast(Mentioned(user.pk, by=me.username, room=room, text=text))
    return JsonResponse({"id": message.pk, "author": message.author, "text": text, "at": message.at})
