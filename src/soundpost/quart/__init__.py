"""Broadcasting for Quart: ``sp = Soundpost(); sp.init_app(app)``."""

from soundpost.quart.extension import Soundpost

__all__ = ["Soundpost"]
