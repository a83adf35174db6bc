"""A chat with rooms, presence, typing and notifications."""
