"""The compiled CPU kernel, through ctypes: kernels/moe_gating_top_k.h is the interface."""

import ctypes
import functools
import importlib.resources
import platform

__all__ = [
    "BFLOAT16",
    "FLOAT16",
    "FLOAT32",
    "Arguments",
    "GradientArguments",
    "library",
    "run",
    "stray",
    "vector",
    "versions",
]

FLOAT32, FLOAT16, BFLOAT16 = 0, 1, 2
_BAD_VECTOR = 12


class Arguments(ctypes.Structure):
    """moe_gating_top_k_args, field by field. Strides are in elements; norm_out and input_ids may be null."""

    _fields_ = [  # noqa: RUF012  as ctypes wants it
        ("x", ctypes.c_void_p),
        ("x_row_stride", ctypes.c_int64),
        ("x_column_stride", ctypes.c_int64),
        ("bias", ctypes.c_void_p),
        ("bias_stride", ctypes.c_int64),
        ("tokens", ctypes.c_int64),
        ("experts", ctypes.c_int64),
        ("k", ctypes.c_int64),
        ("k_group", ctypes.c_int64),
        ("group_count", ctypes.c_int64),
        ("group_select_mode", ctypes.c_int64),
        ("renorm", ctypes.c_int64),
        ("norm_type", ctypes.c_int64),
        ("routed_scaling_factor", ctypes.c_float),
        ("eps", ctypes.c_float),
        ("dtype", ctypes.c_int32),
        ("y", ctypes.c_void_p),
        ("expert_idx", ctypes.c_void_p),
        ("norm_out", ctypes.c_void_p),
        ("input_ids", ctypes.c_void_p),
        ("tid2eid", ctypes.c_void_p),
        ("input_ids_stride", ctypes.c_int64),
        ("tid2eid_row_stride", ctypes.c_int64),
        ("tid2eid_column_stride", ctypes.c_int64),
        ("vocabulary", ctypes.c_int64),
        ("input_ids_int64", ctypes.c_int32),
        ("tid2eid_int64", ctypes.c_int32),
    ]


class GradientArguments(ctypes.Structure):
    """moe_gating_top_k_gradient_args, field by field. grad_y and grad_norm_out may be null."""

    _fields_ = [  # noqa: RUF012  as ctypes wants it
        ("x", ctypes.c_void_p),
        ("x_row_stride", ctypes.c_int64),
        ("x_column_stride", ctypes.c_int64),
        ("expert_idx", ctypes.c_void_p),
        ("grad_y", ctypes.c_void_p),
        ("grad_norm_out", ctypes.c_void_p),
        ("grad_x", ctypes.c_void_p),
        ("tokens", ctypes.c_int64),
        ("experts", ctypes.c_int64),
        ("k", ctypes.c_int64),
        ("renorm", ctypes.c_int64),
        ("norm_type", ctypes.c_int64),
        ("routed_scaling_factor", ctypes.c_float),
        ("eps", ctypes.c_float),
        ("dtype", ctypes.c_int32),
    ]


@functools.cache
def library() -> ctypes.CDLL:
    """Loads the library on first use."""
    path = importlib.resources.files("ascend_moe_gating") / "lib" / "libmoe_gating_top_k.so"
    loaded = ctypes.CDLL(str(path))
    loaded.moe_gating_top_k.argtypes = [ctypes.POINTER(Arguments), ctypes.c_int]
    loaded.moe_gating_top_k.restype = ctypes.c_int
    loaded.moe_gating_top_k_gradient.argtypes = [ctypes.POINTER(GradientArguments), ctypes.c_int]
    loaded.moe_gating_top_k_gradient.restype = ctypes.c_int
    loaded.moe_gating_top_k_vector.restype = ctypes.c_char_p
    pointer, rows = ctypes.POINTER(Arguments), ctypes.c_int64
    loaded.moe_gating_top_k_stray.argtypes = [pointer, rows, rows, ctypes.c_char_p, ctypes.c_size_t]
    loaded.moe_gating_top_k_stray.restype = ctypes.c_int
    loaded.moe_gating_top_k_error.argtypes = [ctypes.c_int]
    loaded.moe_gating_top_k_error.restype = ctypes.c_char_p
    return loaded


def vector() -> str:
    """The vector version that runs on this processor: avx512, avx2, neon or portable.

    Raises:
        ValueError: ASCEND_MOE_GATING_VECTOR names another than this processor has.
    """
    name: str = library().moe_gating_top_k_vector().decode()
    if name == "none":
        raise ValueError(_error(_BAD_VECTOR))
    return name


def versions() -> list[str]:
    """The vector versions that run in this process, or could if ASCEND_MOE_GATING_VECTOR named them, the best first.

    Raises:
        ValueError: ASCEND_MOE_GATING_VECTOR names another than this processor has.
    """
    of_the_machine = ["avx512", "avx2", "portable"] if platform.machine() == "x86_64" else ["neon", "portable"]
    return of_the_machine[of_the_machine.index(vector()) :] if vector() in of_the_machine else [vector()]


def stray(args: Arguments) -> str:
    """What input_ids or tid2eid names that does not exist, in words; empty when there is nothing."""
    text = ctypes.create_string_buffer(200)
    code = library().moe_gating_top_k_stray(ctypes.byref(args), 0, args.tokens, text, len(text))
    return text.value.decode() if code != 0 else ""


def run(args: Arguments | GradientArguments, threads: int) -> None:
    """Runs the kernel for these arguments. The memory that they point to must stay alive until this returns.

    Raises:
        ValueError: ASCEND_MOE_GATING_VECTOR names another version than this processor has.
        RuntimeError: the kernel cannot run these arguments.
    """
    name = "moe_gating_top_k" if isinstance(args, Arguments) else "moe_gating_top_k_gradient"
    code = getattr(library(), name)(ctypes.byref(args), threads)
    if code == _BAD_VECTOR:
        raise ValueError(_error(code))
    if code != 0:
        raise RuntimeError(f"{name} cannot run these arguments: code {code} ({_error(code)})")


def _error(code: int) -> str:
    return library().moe_gating_top_k_error(code).decode()
