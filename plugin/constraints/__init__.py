"""What an operator is given and accepts: a file per operator with its signature and constraints, and what both need.

It knows torch, and nothing of this package. All else behind the public functions is given a call, made here.
"""
