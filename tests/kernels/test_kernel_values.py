"""The CPU kernel on special values: ties, NaN, infinities, the accuracy of the scores, and rounding to half types."""

import numpy as np
import pytest

from tests.kernels.kernel_calls import DTYPES, assert_indices_are_sound, assert_same, check, decode, encode, kernel


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_equal_logits_choose_the_lowest_groups_and_experts(value, norm_type, mode, dtype):
    x = encode(np.full((5, 256), value), dtype)
    for k in [1, 8, 16, 17, 128]:
        options = {"k_group": 4, "group_count": 8, "group_select_mode": mode, "norm_type": norm_type}
        _, expert_idx, _ = check(x, k, dtype, **options)
        np.testing.assert_array_equal(expert_idx, [list(range(k))] * 5)


def test_positive_and_negative_zero_tie():
    x = np.array([[0, -200, 0, -200]], np.float32)
    bias = np.array([-0.5, -0.0, -0.5, 0.0], np.float32)
    assert kernel(x, 4, bias=bias, norm_type=1)[1].tolist() == [[0, 1, 2, 3]]


def test_with_a_bias_of_minus_infinity_masked_experts_tie():
    x, bias = np.zeros((1, 6), np.float32), np.array([-2, -2, -2, 0, -np.inf, -np.inf], np.float32)
    _, expert_idx, _ = check(x, 3, bias=bias, k_group=1, group_count=2, norm_type=1)
    assert expert_idx.tolist() == [[3, 0, 1]]


@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("finite", [0, 3, 20, 100])
@pytest.mark.parametrize(("group_count", "k_group"), [(1, 1), (8, 4), (8, 8), (64, 32)])
@pytest.mark.parametrize("k", [1, 8, 17, 40, 100])
def test_where_too_few_are_finite_the_lowest_of_the_others_follow(k, group_count, k_group, finite, norm_type):
    rng = np.random.default_rng(finite)
    x = rng.normal(0, 2, (20, 256)).astype(np.float32)
    bias = np.full(256, -np.inf, np.float32)
    bias[rng.permutation(256)[:finite]] = 0
    options = {"k_group": k_group, "group_count": group_count, "norm_type": norm_type}
    check(x, k, bias=bias, **options)
    if finite:  # a softmax over nothing but -inf is NaN
        check(np.where(np.isfinite(bias), x, -np.inf), k, **options)


@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("experts", [64, 256, 2048])
@pytest.mark.parametrize("k", [1, 8, 12, 33, 64])
@pytest.mark.parametrize(
    ("values", "shares"),
    [
        ([1e37, -1e37], [0.01, 0.99]),  # all of a row is one expert's
        ([0, 80, 100], [0.9, 0.05, 0.05]),
        ([0, -np.inf], [0.3, 0.7]),
        ([1e-4, 0, -80], [0.02, 0.68, 0.3]),  # of most floats between the values there are none in the row
        ([0, -1e-4, -80], [0.02, 0.28, 0.7]),
        ([0, -40, -80, -120], [0.01, 0.01, 0.01, 0.97]),
    ],
)
def test_rows_of_few_values(values, shares, k, experts, norm_type):
    rng = np.random.default_rng(k)
    x = rng.choice(np.array(values, np.float32), size=(19, experts), p=shares)
    check(x, k, norm_type=norm_type)
    check(x, k, norm_type=norm_type, group_count=4, k_group=4 if k > 48 else 3)


@pytest.mark.parametrize("options", [{"norm_type": 0}, {"norm_type": 1}, {"k_group": 4, "group_count": 8}], ids=str)
@pytest.mark.parametrize(("experts", "k"), [(256, 8), (512, 10), (2048, 1), (2048, 10), (2048, 16), (2048, 64)])
@pytest.mark.parametrize("apart", [2, 16, 17, 64, 128])
def test_the_largest_values_anywhere(apart, experts, k, options):
    """The kernel bounds them by the maxima of lanes; here they share few lanes, and equal each other or not."""
    rng = np.random.default_rng(apart)
    x = rng.normal(size=(40, experts)).astype(np.float32)
    x[:10, ::apart] += 9
    x[10:20, ::apart] = np.sort(x[10:20, ::apart] + 9, axis=1)
    x[20:30] = -np.inf
    x[20:30, ::apart] = np.sort(x[10:20, ::apart], axis=1)[:, ::-1]
    x[30:, ::apart] = 9 + rng.integers(3, size=(10, len(x[0, ::apart])))
    bias = rng.normal(size=experts).astype(np.float32) / 16
    check(x, k, **options)
    check(x, k, bias=bias, **options)


@pytest.mark.parametrize("size", [1, 3, 16, 32])
@pytest.mark.parametrize("group_count", [2, 8, 16, 20, 32, 48, 64])
def test_any_number_of_groups_in_either_order(group_count, size):
    ascending = np.linspace(-4, 4, group_count * size, dtype=np.float32)
    x = np.stack([ascending, ascending[::-1], np.zeros_like(ascending)])
    for k_group in range(1, group_count):
        check(x, min(8, k_group * size), k_group=k_group, group_count=group_count, norm_type=1)


@pytest.mark.parametrize(("group_count", "size"), [(5, 40), (12, 16), (20, 20), (20, 3)])
def test_groups_whose_score_is_nan_keep_their_own_experts(group_count, size):
    experts = group_count * size
    bias = np.full(experts, -np.inf, np.float32)
    bias[::size] = np.inf  # the sum of the two largest of a group is NaN
    _, expert_idx, _ = kernel(
        np.zeros((20, experts), np.float32), 3, bias=bias, k_group=2, group_count=group_count, group_select_mode=1
    )
    assert_indices_are_sound(expert_idx, experts)


@pytest.mark.parametrize("experts", [16, 64, 256, 2048])
@pytest.mark.parametrize("distance", [2.0**-24, 2.0**-25])
def test_scores_that_tie_though_their_exponentials_differ(distance, experts):
    """The division by the sum rounds neighbouring exponentials to one score, among which the lower index wins."""
    rng = np.random.default_rng(experts)
    x = (-distance * rng.integers(0, 40, (40, experts))).astype(np.float32)
    for k in [1, 6, 8, 12, 16]:
        _, _, scores = check(x, k)
        assert len(np.unique(scores[0])) < len(np.unique(x[0]))
        for mode in [0, 1]:  # the sum of two scores is rounded, too
            check(x, k, k_group=3, group_count=8, group_select_mode=mode) if experts > 16 else None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("share", [0.01, 0.5, 1])
@pytest.mark.parametrize("k", [1, 8, 17, 128])
def test_nan_rows_have_distinct_experts_and_do_not_touch_other_rows(k, share, norm_type, dtype):
    rng = np.random.default_rng(5)
    clean = rng.normal(0, 1, (40, 256)).astype(np.float32)
    dirty = np.where(rng.random(clean.shape) < share, np.float32("nan"), clean)
    dirty[::2] = clean[::2]
    for mode in [0, 1]:
        options = {"k_group": 4, "group_count": 8, "group_select_mode": mode, "norm_type": norm_type}
        actual = kernel(encode(dirty, dtype), k, dtype, **options)
        assert_indices_are_sound(actual[1], 256)
        assert_same((a[::2] for a in actual), (a[::2] for a in kernel(encode(clean, dtype), k, dtype, **options)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("experts", [3, 8, 16])
def test_a_nan_in_a_small_gate_is_chosen_last_and_changes_no_other_row(experts, norm_type, dtype):
    clean = encode(np.random.default_rng(experts).normal(0, 1, (100, experts)), dtype)
    dirty = clean.copy()
    dirty[::9, 1] = encode(np.full((1, 1), np.nan), dtype)
    for k in [1, 2, experts]:
        actual, expected = (kernel(x, k, dtype, norm_type=norm_type) for x in (dirty, clean))
        assert_indices_are_sound(actual[1], experts)
        others = np.arange(100) % 9 != 0
        assert_same((a[others] for a in actual), (e[others] for e in expected))
    if norm_type == 1:
        assert (actual[1][::9, -1] == 1).all()


def test_a_nan_in_a_small_gate_ties_with_minus_infinity():
    x = np.array([[0, np.nan, 1, 2]], np.float32)
    for place, order in [(0, [3, 2, 0, 1]), (2, [3, 0, 1, 2])]:
        bias = np.zeros(4, np.float32)
        bias[place] = -np.inf
        assert kernel(x, 4, bias=bias, norm_type=1)[1].tolist() == [order]


@pytest.mark.parametrize("experts", [4, 8, 13, 16])
@pytest.mark.parametrize("with_bias", [False, True], ids=["no_bias", "bias"])
def test_neighbouring_floats_are_in_order_in_a_small_gate(with_bias, experts):
    """The bits in which they differ are those in which a sort of few experts has their numbers."""
    rng = np.random.default_rng(experts)
    x = np.float32(-1) - np.float32(2.0**-22) * rng.integers(0, 5, (200, experts)).astype(np.float32)
    bias = np.float32(2.0**-24) * rng.integers(0, 3, experts).astype(np.float32) if with_bias else None
    for k in [1, 2, experts]:
        check(x, k, bias=bias, norm_type=1)


def ulps(actual, exact):
    """Distances in units of the last place of a float32, where the exact value is a normal float32."""
    normal = exact > np.finfo(np.float32).tiny
    return (np.abs(actual - exact) / np.spacing(exact.astype(np.float32)))[normal].max()


@pytest.mark.parametrize(("low", "high"), [(-8, 8), (-30, 30), (-87, 40)])
def test_the_sigmoid_is_within_3_1_ulp_and_monotonic(low, high):
    x = np.linspace(low, high, 2**21, dtype=np.float32).reshape(-1, 2048)
    scores = kernel(x, 1, norm_type=1)[2]
    assert ulps(scores, 1 / (1 + np.exp(-x.astype(np.float64)))) <= 3.1
    coarse = scores.ravel()[:: 2**21 // 500000]  # neighbouring floats may be swapped by a rounding
    assert (np.diff(coarse) >= 0).all()


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-8, 8), (-30, 30), (-170, 200)])
def test_the_root_of_softplus_is_within_2_5_ulp(low, high):
    x = np.linspace(low, high, 2**21, dtype=np.float32).reshape(-1, 2048)
    scores = kernel(x, 1, norm_type=2)[2]
    assert ulps(scores, np.sqrt(np.logaddexp(0, x.astype(np.float64)))) <= 2.5
    coarse = scores.ravel()[:: 2**21 // 500000]
    assert (np.diff(coarse) >= 0).all()


def test_the_root_of_softplus_at_its_ends():
    x = np.array([[-np.inf, -3e38, -300, -200, -100, -0.0, 0, 1e4, 3e38, np.inf]], np.float32)
    scores = kernel(x, 1, norm_type=2)[2]
    root = [0, 0, 0, 3.8e-44, 1.9287498e-22, 0.83255461, 0.83255461, 100, 3e38**0.5, np.inf]
    np.testing.assert_allclose(scores, np.array([root], np.float32), rtol=2e-7, atol=1e-45)


@pytest.mark.parametrize("spread", [0.01, 1, 5, 20])
@pytest.mark.parametrize("experts", [3, 8, 16, 128, 160, 256, 2048])
def test_the_softmax_is_within_4_3_ulp(experts, spread):
    x = np.random.default_rng(experts).normal(0, spread, (1000, experts)).astype(np.float32)
    scores = kernel(x, 1)[2]
    exact = np.exp((x - x.max(axis=1, keepdims=True)).astype(np.float64))  # the difference is rounded to float32
    assert ulps(scores, exact / exact.sum(axis=1, keepdims=True)) <= 4.3


def test_the_sigmoid_saturates():
    scores = kernel(np.array([[-np.inf, -3e38, -200, 0, 200, 3e38, np.inf]], np.float32), 1, norm_type=1)[2]
    assert scores.tolist() == [[0, 0, 0, 0.5, 1, 1, 1]]


def test_the_softmax_does_not_overflow():
    scores = kernel(np.array([[3e38, 3e38, -3e38, -np.inf]], np.float32), 1)[2]
    assert scores.tolist() == [[0.5, 0.5, 0, 0]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_half_value_is_read_exactly(dtype):
    halves = np.arange(65536, dtype=np.uint16).reshape(-1, 1)
    x = decode(halves if dtype == "bfloat16" else halves.view(np.float16), dtype)
    # A lone expert's softmax hides the logit, so compare the sigmoids of the same number read in two ways.
    as_half = kernel(halves if dtype == "bfloat16" else halves.view(np.float16), 1, dtype, norm_type=1)[2]
    np.testing.assert_array_equal(as_half, kernel(x, 1, norm_type=1)[2])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_half_value_keeps_its_bits_when_read_as_a_bias(dtype):
    """Orders the values themselves, tiny ones included: with a score of 0 the bias is the choice."""
    halves = np.arange(65536, dtype=np.uint16)
    biases = halves if dtype == "bfloat16" else halves.view(np.float16)
    biases = biases[np.isfinite(decode(biases, dtype))]
    biases = biases[: len(biases) // 2048 * 2048].reshape(-1, 2048)
    x = encode(np.full((1, 2048), -np.inf), dtype)
    for bias in biases[:: max(1, len(biases) // 8)]:
        check(x, 2048, dtype, bias, norm_type=1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1, -1, 2**-8, 2**-16, 2**-24, 2**-40, 2**-133, 1e5, 65520, 3.4e38, np.inf, np.nan])
def test_weights_are_rounded_once_to_nearest_even(scale, dtype):
    # 512 weights a row, which the scale brings into every range of the type: subnormal, overflow, NaN.
    rng = np.random.default_rng(6)
    x = encode(rng.uniform(-8, 8, (64, 512)), dtype)
    check(x, 512, dtype, norm_type=1, routed_scaling_factor=scale)
    check(x, 512, dtype, norm_type=0, routed_scaling_factor=scale)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_exact_rounding_ties_and_their_neighbours(dtype):
    """A lone expert with eps 0 has the weight 1, so y is the scale: any float32 can be stored."""
    x = encode(np.zeros((1, 1)), dtype)
    middles = np.arange(0, 0x7F80, 5, dtype=np.uint32) << 16 if dtype == "bfloat16" else half_bits_as_float32()
    ulp = np.uint32(1 << 16 if dtype == "bfloat16" else 1 << 13)
    bits = np.concatenate([middles + ulp // 2 + np.uint32(d) for d in [0, 1, 2**32 - 1]]).astype(np.uint32)
    for scale in bits[::3].view(np.float32):
        y = kernel(x, 1, dtype, out_flag=False, routed_scaling_factor=scale, norm_type=1, eps=0.0)[0]
        np.testing.assert_array_equal(y, encode(np.full((1, 1), scale), dtype), err_msg=repr(scale))


def half_bits_as_float32():
    subnormal = np.arange(0, 1024, 7, dtype=np.float32) * np.float32(2.0**-24)
    normal = (np.arange(0, 0x7C00, 7, dtype=np.uint32) << 13) + np.uint32(112 << 23)
    middles = (subnormal + np.float32(2.0**-25)).view(np.uint32) - np.uint32(1 << 12)  # the caller adds half an ulp
    return np.concatenate([normal, middles])
