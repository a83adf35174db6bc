"""Flask-WTF's CSRF protection, where the application has it; the auth routes look at ``Origin`` instead."""

from __future__ import annotations

from flask import Blueprint, Flask, current_app


def exempt(app: Flask, routes: Blueprint) -> None:
    """Take routes out of CSRF protection, whether Flask-WTF is initialised already or only later."""

    def exempt_routes() -> None:
        protection = app.extensions.get("csrf")
        if protection is not None:
            protection.exempt(routes)

    exempt_routes()
    app.before_request(exempt_routes)  # if Flask-WTF comes later, this runs before its own


def csrf_token() -> str | None:
    """The token for forms and scripts of the page; None without Flask-WTF."""
    if "csrf" not in current_app.extensions:
        return None
    from flask_wtf.csrf import generate_csrf

    return str(generate_csrf())
