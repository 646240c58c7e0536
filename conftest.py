"""Every test may use the chassis' fixtures (servers, issuer, deploy, bus); faults are accounted for at the end."""

pytest_plugins = ["cordboard_chassis.testing.plugin", "tests.faults.report"]
