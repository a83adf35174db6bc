"""A Django project with broadcasting, as small as one can be that has everything."""

from __future__ import annotations

import os

SECRET_KEY = "of-tests"
DEBUG = os.environ.get("SITE_DEBUG") == "1"
ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
USE_TZ = True
ROOT_URLCONF = "frameworks.django_site.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "soundpost.django",
    "frameworks.django_site.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "soundpost.django.SocketIdMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
_DATABASE = os.environ.get("SITE_DATABASE", ":memory:")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _DATABASE,
        "ATOMIC_REQUESTS": os.environ.get("SITE_ATOMIC_REQUESTS") == "1",
    },
    "archive": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{_DATABASE}.archive" if "/" in _DATABASE else _DATABASE,
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SOUNDPOST = {
    "APP_ID": "1",
    "KEY": "app-key",
    "SECRET": "app-secret",
    "HOST": "127.0.0.1",
    "PORT": int(os.environ.get("SITE_SOUNDPOST_PORT", "8080")),
    "CHANNELS_MODULE": "channels",
}
