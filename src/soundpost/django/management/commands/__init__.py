"""The command ``manage.py soundpost``."""
