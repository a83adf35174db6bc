"""URLs of the auth views and of webhooks, for ``path("broadcasting/", include("soundpost.django.urls"))``."""

from django.urls import path

from soundpost.django import views, webhook_view

app_name = "soundpost"
urlpatterns = [
    path("auth", views.auth, name="auth"),
    path("user-auth", views.user_auth, name="user-auth"),
    path("webhooks", webhook_view.webhooks, name="webhooks"),
]
