"""One module per kind of PBX, all behind `drivers.interface`."""
