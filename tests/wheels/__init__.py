"""What makes wheels that install without a compiler, for x86-64 and aarch64 on one machine, and the tests of it."""
