"""``python -m soundpost``: the same as the command ``soundpost``."""

from soundpost.tools.cli.app import main

if __name__ == "__main__":
    main()
