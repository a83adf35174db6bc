"""Flask-Login's user, where the application has Flask-Login."""

from __future__ import annotations

from typing import Any

from flask import current_app


def logged_in_user() -> Any:
    """The user of the current request, or its object for nobody; None if there is no Flask-Login."""
    if not hasattr(current_app, "login_manager"):
        return None
    from flask_login import current_user

    return current_user
