"""Lets torch_npu load beside a CUDA build of torch that has registered the same keys of the allocator's configuration.

tests/pairs.py puts this file into the environment of a pair that aborts without it, to be imported by every process.
"""

import ctypes
import sys
from pathlib import Path


class BeforeTorchNpu:
    """Finds no module; is asked for torch_npu's library when torch is there, and torch_npu is not yet."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch_npu._C":
            ctypes.CDLL(str(Path(__file__).with_name("liballocator_keys.so"))).forget_allocator_keys()


sys.meta_path.insert(0, BeforeTorchNpu)
