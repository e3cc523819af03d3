"""The stand-in for CANN as a device; stand_in.cpp is for sanitizers."""
