"""Other Python ways to hand an event to all subscribers of a channel, each as its documentation recommends.

They speak just enough of the protocol for the clients of ``swarm.py``, so that these cost the same with each, and send
the same bytes as Soundpost. They check no signature, know no presence, and keep no limit: what they do less is to
their advantage. Compression and pings are off.
"""
