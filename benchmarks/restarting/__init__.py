"""The parts of ``restart.py``: who publishes, what is restarted."""
