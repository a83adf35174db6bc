"""What ``loop_lag.py`` measures, and how its servers are watched."""
