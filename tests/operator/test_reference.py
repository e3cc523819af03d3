"""The reference against cases computed by hand, one for every step, and against the listing in the user's document."""

import warnings

import numpy as np
import pytest

from ascend_moe_gating.plugin.reference import moe_gating_top_k

INF = np.inf


def array(*rows):
    return np.array(rows, np.float32)


def logit(score):
    score = np.asarray(score, np.float64)
    return np.log(score / (1 - score)).astype(np.float32)


def assert_result(result, y, expert_idx):
    assert result[1].tolist() == expert_idx
    np.testing.assert_allclose(result[0], y, rtol=1e-6)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# The known cases.


def test_equal_scores_choose_the_lowest_experts_with_equal_weights():
    result = moe_gating_top_k(
        np.zeros((1, 256), np.float32),
        8,
        bias=np.zeros(256, np.float32),
        k_group=4,
        group_count=8,
        group_select_mode=1,
        norm_type=1,
        routed_scaling_factor=2.5,
    )
    assert_result(result, [[0.3125] * 8], [list(range(8))])


@pytest.mark.parametrize("shift", [0, 999])
def test_softmax_weights_are_not_renormalized_and_a_shift_changes_nothing(shift):
    result = moe_gating_top_k(array([1, 2, 3, 4]) + np.float32(shift), 2)
    assert_result(result, [[0.6439143, 0.2368828]], [[3, 2]])


@pytest.mark.parametrize(("norm_type", "y"), [(1, [0.3442165, 0.6557835]), (0, [0.0320586, 0.6439143])])
def test_the_bias_steers_the_choice_and_never_enters_the_weights(norm_type, y):
    result = moe_gating_top_k(array([0, 1, 2, 3]), 2, bias=array([10, 0, 0, 0])[0], norm_type=norm_type)
    assert_result(result, [y], [[0, 3]])


def test_a_saturated_sigmoid_gives_zero_and_one_without_a_warning():
    result = moe_gating_top_k(array([200, -200, 0, 1]), 3, norm_type=1)
    assert_result(result, [[0.4482177, 0.3276734, 0.2241089]], [[0, 3, 2]])
    np.testing.assert_allclose(result[2], [[1, 0, 0.5, 0.7310586]], rtol=1e-6)


# Step 1: scores.


def test_infinite_logits_are_ordinary_for_the_sigmoid():
    y, expert_idx, scores = moe_gating_top_k(array([-INF, 0, INF]), 3, norm_type=1)
    assert scores.tolist() == [[0, 0.5, 1]]
    assert expert_idx.tolist() == [[2, 1, 0]]
    np.testing.assert_allclose(y, [[2 / 3, 1 / 3, 0]], rtol=1e-6)


def test_minus_infinity_has_no_share_in_a_softmax():
    assert moe_gating_top_k(array([-INF, 5, 5]), 1)[2].tolist() == [[0, 0.5, 0.5]]


@pytest.mark.parametrize("out_flag", [False, True])
def test_the_third_result_is_the_scores_without_the_bias(out_flag):
    scores = moe_gating_top_k(array([0, 0]), 1, bias=array([3, 4])[0], out_flag=out_flag)[2]
    assert scores.tolist() == [[0.5, 0.5]]


def test_each_row_is_normalized_by_itself():
    scores = moe_gating_top_k(array([0, 0], [1000, -1000]), 1)[2]
    assert scores.tolist() == [[0.5, 0.5], [1, 0]]


# Step 3: groups. Two of three groups are kept; the scores are chosen, the logits follow.

SCORES = [0.9, 0.1, 0.1, 0.6, 0.7, 0.1, 0.8, 0.3, 0.2]  # maxima .9 .7 .8, two largest 1.0 1.3 1.1


@pytest.mark.parametrize(("mode", "expert_idx", "y"), [(0, [0, 6, 7], [0.45, 0.4, 0.15]), (1, [6, 4, 3], None)])
def test_groups_are_chosen_by_their_maximum_or_by_their_two_largest(mode, expert_idx, y):
    y = y or [0.8 / 2.1, 0.7 / 2.1, 0.6 / 2.1]
    result = moe_gating_top_k(
        logit([SCORES]), 3, k_group=2, group_count=3, group_select_mode=mode, norm_type=1, routed_scaling_factor=1
    )
    assert_result(result, [y], [expert_idx])


def test_the_bias_takes_part_in_the_choice_of_groups():
    bias = np.array([-1, -1, -1, 0, 0, 0, 0, 0, 0], np.float32)
    result = moe_gating_top_k(logit([SCORES]), 2, bias=bias, k_group=1, group_count=3, norm_type=1)
    assert_result(result, [[0.8 / 1.1, 0.3 / 1.1]], [[6, 7]])


@pytest.mark.parametrize("mode", [0, 1])
def test_masked_groups_lose_to_negative_choices(mode):
    bias = np.array([-2, -2, -2, -1, -1, -1], np.float32)
    result = moe_gating_top_k(
        np.zeros((1, 6), np.float32), 3, bias=bias, k_group=1, group_count=2, group_select_mode=mode, norm_type=1
    )
    assert_result(result, [[1 / 3] * 3], [[3, 4, 5]])


def test_all_groups_kept_is_the_same_as_no_groups():
    x = logit([SCORES])
    grouped = moe_gating_top_k(x, 5, k_group=3, group_count=3, group_select_mode=1, norm_type=1)
    y, expert_idx, _ = moe_gating_top_k(x, 5, norm_type=1)
    assert_result(grouped, y, expert_idx.tolist())


# Step 4: ties.


def test_among_equal_groups_the_lower_group_wins():
    x = array([0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0])
    assert moe_gating_top_k(x, 4, k_group=2, group_count=4, norm_type=1)[1].tolist() == [[3, 6, 4, 5]]


def test_among_equal_experts_the_lower_expert_wins():
    assert moe_gating_top_k(array([1, 3, 2, 3, 1, 2]), 5)[1].tolist() == [[1, 3, 2, 5, 0]]


def test_different_logits_whose_choices_round_to_the_same_number_tie():
    x = array([0, 1e-5, 2e-5])
    assert moe_gating_top_k(x, 3, norm_type=1)[1].tolist() == [[2, 1, 0]]
    assert moe_gating_top_k(x, 3, bias=array([4096] * 3)[0], norm_type=1)[1].tolist() == [[0, 1, 2]]


def test_positive_and_negative_zero_tie():
    x, bias = array([0, -200, 0, -200]), array([-0.5, -0.0, -0.5, 0.0])[0]
    assert moe_gating_top_k(x, 4, bias=bias, norm_type=1)[1].tolist() == [[0, 1, 2, 3]]


def test_with_a_bias_of_minus_infinity_masked_experts_tie():
    bias = array([-2, -2, -2, 0, -INF, -INF])[0]
    result = moe_gating_top_k(np.zeros((1, 6), np.float32), 3, bias=bias, k_group=1, group_count=2, norm_type=1)
    assert result[1].tolist() == [[3, 0, 1]]


# Step 5: weights.


def test_one_expert_is_renormalized_too():
    assert_result(moe_gating_top_k(array([0, 1]), 1, norm_type=1, routed_scaling_factor=2.5), [[2.5]], [[1]])
    s = 1 / (1 + np.exp(-1.0))
    assert_result(moe_gating_top_k(array([0, 1]), 1, norm_type=1, eps=0.5), [[s / (s + 0.5)]], [[1]])


def test_eps_is_not_used_after_a_softmax():
    assert_result(moe_gating_top_k(array([0, 0]), 2, eps=7.0, routed_scaling_factor=3.0), [[1.5, 1.5]], [[0, 1]])


def test_eps_keeps_a_row_of_zero_scores_finite():
    assert moe_gating_top_k(array([-200, -200]), 2, norm_type=1)[0].tolist() == [[0, 0]]


def test_eps_and_scale_are_float32():
    assert np.isnan(moe_gating_top_k(array([-200, -200]), 2, norm_type=1, eps=1e-46)[0]).all()
    y = moe_gating_top_k(array([0]), 1, routed_scaling_factor=0.1)[0]
    assert y.dtype == np.float32
    assert y[0, 0] == np.float32(0.1)


def test_the_division_comes_before_the_product():
    # Multiplied first, these small scores would vanish.
    result = moe_gating_top_k(array([-80, -80]), 2, norm_type=1, routed_scaling_factor=1e-20, eps=0.0)
    assert_result(result, [[5e-21, 5e-21]], [[0, 1]])


# Shapes and odd values.


@pytest.mark.parametrize("norm_type", [0, 1])
@pytest.mark.parametrize("group_count", [1, 2])
@pytest.mark.parametrize("mode", [0, 1])
def test_no_tokens(norm_type, group_count, mode):
    y, expert_idx, scores = moe_gating_top_k(
        np.zeros((0, 6), np.float32), 2, group_count=group_count, group_select_mode=mode, norm_type=norm_type
    )
    assert (y.shape, expert_idx.shape, scores.shape) == ((0, 2), (0, 2), (0, 6))
    assert (y.dtype, expert_idx.dtype, scores.dtype) == (np.float32, np.int32, np.float32)


@pytest.mark.parametrize("norm_type", [0, 1])
def test_nan_rows_have_distinct_experts_and_do_not_touch_other_rows(norm_type):
    x = np.array([[1, 2, 3, 4, 5, 6]] * 3, np.float32)
    x[1, 2] = np.nan
    y, expert_idx, _ = moe_gating_top_k(x, 3, k_group=1, group_count=2, norm_type=norm_type)
    assert len(set(expert_idx[1])) == 3
    assert expert_idx[0].tolist() == expert_idx[2].tolist() == [5, 4, 3]
    assert np.isfinite(y[[0, 2]]).all()


# The listing in the document runs for a sigmoid with bias and several groups; there it decides.


def listing(x, k, bias, k_group, group_count, mode, scale, eps):
    with np.errstate(over="ignore"):
        s = 1 / (1 + np.exp(-x))
    rows = []
    for c in s + bias:
        groups = c.reshape(group_count, -1)
        score = groups.max(1) if mode == 0 else np.partition(groups, -2, axis=1)[:, -2:].sum(1)
        keep = set(sorted(range(group_count), key=lambda g: (-score[g], g))[:k_group])
        left = [c[e] if e // groups.shape[1] in keep else -np.inf for e in range(len(c))]
        rows.append(sorted(range(len(c)), key=lambda e: (-left[e], e))[:k])
    expert_idx = np.array(rows, np.int32)
    y = np.take_along_axis(s, expert_idx, axis=1)
    return y / (y.sum(1, keepdims=True) + np.float32(eps)) * np.float32(scale), expert_idx, s


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(("k", "k_group", "group_count"), [(6, 4, 8), (1, 4, 8), (128, 4, 8), (9, 2, 4), (16, 3, 16)])
@pytest.mark.parametrize("spread", [2, 100])
def test_the_listing_agrees_where_it_runs(mode, k, k_group, group_count, spread):
    rng = np.random.default_rng(7)
    x = rng.uniform(-spread, spread, (32, 256)).astype(np.float32)
    bias = rng.uniform(-2, 2, 256).astype(np.float32)
    expected = listing(x, k, bias, k_group, group_count, mode, 2.5, 1e-20)
    actual = moe_gating_top_k(
        x, k, bias=bias, k_group=k_group, group_count=group_count, group_select_mode=mode,
        norm_type=1, routed_scaling_factor=2.5, out_flag=True,
    )  # fmt: skip
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)
