"""`python -m ascend_moe_gating verify`: the operators held to their definition, on the device that is there.

The tables of calls here are those of the tests too.
"""
