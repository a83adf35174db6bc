"""The parts of ``presence.py``: members of one channel who count what they are told."""
