"""The parts of ``restart.py``: clients that come back, who publishes, what is restarted."""
