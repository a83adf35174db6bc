"""URLs of the chat."""

from django.urls import include, path

from chat import views

urlpatterns = [
    path("broadcasting/", include("soundpost.django.urls")),
    path("login", views.log_in, name="login"),
    path("logout", views.log_out, name="logout"),
    path("", views.room, {"room": "lobby"}),
    path("rooms/<slug:room>", views.room, name="room"),
    path("rooms/<slug:room>/messages", views.send, name="send"),
]
