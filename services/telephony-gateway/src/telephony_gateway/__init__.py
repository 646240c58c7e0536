"""Cordboard's telephony gateway: what PBXs say, normalised."""
