"""Bytes and names of the protocol: frames, Pusher messages, signatures, channel names, codes. Pure, no I/O."""
