"""The HTTP API of Pusher Channels: https://pusher.com/docs/channels/library_auth_reference/rest-api/"""
