"""Gives torch, torch_npu and torchair what this package has for each operator, whatever is imported when.

It knows everything else, and only the package's own first lines know it. Importing this folder imports no torch.
"""
