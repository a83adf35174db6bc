"""URLs of the auth views, for ``path("broadcasting/", include("soundpost.django.urls"))``."""

from django.urls import path

from soundpost.django import views

app_name = "soundpost"
urlpatterns = [
    path("auth", views.auth, name="auth"),
    path("user-auth", views.user_auth, name="user-auth"),
]
