"""Every test may use the chassis' fixtures: servers, issuer, deploy, bus."""

pytest_plugins = ["cordboard_chassis.testing.plugin"]
