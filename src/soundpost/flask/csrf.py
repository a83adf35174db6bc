"""Exemption from Flask-WTF's CSRF protection: the auth routes look at ``Origin`` instead."""

from __future__ import annotations

from flask import Blueprint, Flask, current_app


def exempt(app: Flask, routes: Blueprint) -> None:
    """Exempt routes from CSRF protection, whether Flask-WTF is initialised before or after."""

    def exempt_routes() -> None:
        protection = app.extensions.get("csrf")
        if protection is not None:
            protection.exempt(routes)

    exempt_routes()
    app.before_request(exempt_routes)  # if Flask-WTF comes later, this runs before its own


def csrf_token() -> str | None:
    """Return the CSRF token for forms and scripts of a page; None without Flask-WTF."""
    if "csrf" not in current_app.extensions:
        return None
    from flask_wtf.csrf import generate_csrf

    return str(generate_csrf())
