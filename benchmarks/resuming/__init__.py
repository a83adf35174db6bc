"""The parts of ``resumption.py``: what can break, and what came of it."""
