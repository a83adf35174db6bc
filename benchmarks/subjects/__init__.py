"""Subjects of ``growth.py``: the numbers that it varies, one module for each."""
