"""Set-up of a project for Soundpost: what to write for its framework, and what a person must add."""
