"""The processes of a server: one or several workers, signals, control socket, restart, drain."""
