"""Converters from FX nodes to GE nodes: one file per operator, named as the operator."""
