"""The part of ``resumption.py`` that makes rows of its table."""
