"""The parts of ``webhooks.py``: an endpoint, a crowd whose doings are known, what can break, the account, the costs."""
