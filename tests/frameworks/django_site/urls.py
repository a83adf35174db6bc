"""The site's addresses."""

from __future__ import annotations

from django.urls import include, path

from frameworks.django_site.shop import views
from soundpost.django.views import aauth, auser_auth

urlpatterns = [
    path("broadcasting/", include("soundpost.django.urls")),
    path("coroutines/auth", aauth),
    path("coroutines/user-auth", auser_auth),
    path("", views.page),
    path("login/<str:name>", views.login_as),
    path("orders/<int:order_id>/ship", views.ship),
    path("orders/<int:order_id>/ship-and-fail", views.ship_and_fail),
    path("orders/<int:order_id>/ship-async", views.ship_async),
]
