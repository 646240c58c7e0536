"""The built-in PBX: a process of its own that behaves as a switch does (docs/decisions/0004).

``core`` decides and knows neither clock nor I/O; ``exchange`` gives it both; ``link`` is what a gateway
connects to (PROTOCOL.md); ``control_server`` is for whoever plays the world around a PBX: its callers, its
phones, its accidents. ``control`` is the client library for that.
"""
