"""Cordboard's leads: strangers become customers."""
