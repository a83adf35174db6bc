"""Measurements of ``loop_lag.py``, and the watch over its servers' loops."""
