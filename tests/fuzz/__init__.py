"""Fuzzers of the C++ parts, and what they have found."""
