"""The wire: RFC 6455 frames, Pusher messages, signatures, channel names, codes. Pure functions, no I/O."""
