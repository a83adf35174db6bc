"""Processes: one or several workers, signals, control socket, restart, drain."""
