"""Broadcasting for Litestar: ``Litestar(plugins=[SoundpostPlugin(user=current_user)])``."""

from soundpost.litestar.plugin import SoundpostPlugin

__all__ = ["SoundpostPlugin"]
