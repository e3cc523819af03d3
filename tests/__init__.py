"""The tests: a folder per part.

What several parts use is here: the ways to run the operator, its table of cases, and running programs in processes.
"""
