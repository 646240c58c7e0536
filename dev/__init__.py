"""The launcher: gets the servers, starts the system, runs the tests and the checks. Used by `script/`."""
