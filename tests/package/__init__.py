"""The package as a whole: what it registers, its rooms, its README, its examples and benchmarks."""
