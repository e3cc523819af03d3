"""A soak: as many random rows as wanted through every way to run the operators, against the reference. `make soak`."""
