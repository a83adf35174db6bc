"""The processes of a server: one or several workers, signals, control socket, restart, drain."""

from soundpost.operating_system import require_posix

require_posix()
