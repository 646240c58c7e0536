"""Recorded traces of real PBXs: fed through a driver's pure part and the gateway's call model, and compared.

`trace` reads them, `player` feeds them in various ways, `switchboard` is the call model without a database,
`conclusions` says what the gateway believes happened, `comparison` holds that against what did happen.
"""
