"""Template tags for pages with laravel-echo."""
