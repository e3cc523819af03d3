"""The package as a whole: what it registers, its rooms, its examples and benchmarks."""
