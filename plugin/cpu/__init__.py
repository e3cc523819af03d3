"""The operators on CPU tensors: a file per operator, and the way from torch's dispatcher to the compiled kernel.

It knows the constraints, meta/ and the C interface of kernels/.
"""
