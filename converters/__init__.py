"""Converters from FX nodes to GE nodes: one file per operator, named as the operator. They know the constraints.

fusion/ is the pass that makes an operator's FX node of a gate that is written out.
"""
