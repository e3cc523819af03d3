"""Gradients: one file per operator, named as the operator, what they share, and how torch's autograd is told.

The choice of experts has none: y and norm_out follow the logits of the experts that were chosen.
"""
