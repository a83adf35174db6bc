"""Soundpost: a realtime server that speaks the Pusher protocol, and broadcasting for Python applications."""

from soundpost.errors import SoundpostError

__all__ = ["SoundpostError", "__version__"]

__version__ = "0.1.0"
