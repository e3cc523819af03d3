"""Wheels that install without a compiler, for x86-64 and aarch64, made on one machine."""
