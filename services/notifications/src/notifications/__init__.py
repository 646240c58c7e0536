"""Cordboard's notifications: signed webhooks and the event stream."""
