"""The command ``soundpost``: thin commands over the packages beside it."""
