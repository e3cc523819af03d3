"""The operators on NPU tensors by direct calls of CANN, without torch_npu's kernels: a file per operator.

It knows the constraints and meta/.
"""
