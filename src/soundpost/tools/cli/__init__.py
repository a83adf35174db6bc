"""Command ``soundpost``: thin commands over the packages beside this one."""
