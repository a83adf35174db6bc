"""The user of Flask-Login, in applications that have Flask-Login."""

from __future__ import annotations

from typing import Any

from flask import current_app


def logged_in_user() -> Any:
    """Return Flask-Login's user of the current request, perhaps an anonymous one; None without Flask-Login."""
    if not hasattr(current_app, "login_manager"):
        return None
    from flask_login import current_user

    return current_user
