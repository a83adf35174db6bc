"""The parts of ``faults.py``: what can break, the load meanwhile, and the account of one fault."""
