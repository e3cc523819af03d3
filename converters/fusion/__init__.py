"""Makes one FX node of each gate that is written out: gates.py reads, replace.py replaces, hook.py lets torchair do so.

It knows plugin/environment/ and the constraints, of the operators only their schemas, and nothing of GE.
"""
