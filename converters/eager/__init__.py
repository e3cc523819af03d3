"""Lets models use the operators in eager mode: candidates.py finds the methods that choose experts, traced.py makes a
graph of one and fuses its gates, replacement.py puts it in place of the method, and takes it out again.

It knows converters/fusion/ and the public functions.
"""
