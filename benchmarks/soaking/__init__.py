"""The parts of ``soak.py``: a crowd of clients, publishers, and the account of what they said and heard."""
