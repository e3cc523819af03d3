"""`python -m ascend_moe_gating doctor`: what is installed, what runs each way of calling the operator, and what mends
what does not run.

Its own process imports the standard library alone, so that nothing broken breaks it: what has to be tried is tried by
probe.py in processes that may hang or die. remedies.py is the table of what is known to fail, and of what mends it.
"""
