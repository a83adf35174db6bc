"""The package of ``manage.py soundpost``."""
