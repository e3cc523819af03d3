"""The compiled kernel under its C interface, in each vector version; kernel.cpp is for sanitizers and emulators."""
