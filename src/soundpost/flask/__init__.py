"""Broadcasting for Flask: ``sp = Soundpost(); sp.init_app(app)``."""

from soundpost.flask.extension import Soundpost

__all__ = ["Soundpost"]
