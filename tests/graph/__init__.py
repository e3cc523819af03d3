"""Graphs that torchair makes of the operators: nodes, modes, lifetimes, and what an error in one says."""
