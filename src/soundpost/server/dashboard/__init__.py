"""The dashboard: a page for operators, its login, and the JSON API behind it."""
