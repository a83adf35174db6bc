"""The HTTP API: https://pusher.com/docs/channels/library_auth_reference/rest-api/"""
