"""What a user imports: the operator's definition, constraints, kernels and module.

Importing this folder imports no torch.
"""
