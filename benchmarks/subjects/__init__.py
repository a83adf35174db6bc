"""What is varied in ``growth.py``, one module each."""
