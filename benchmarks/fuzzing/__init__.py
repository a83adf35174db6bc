"""The parts of ``fuzz.py``: inputs, targets, bystander."""
