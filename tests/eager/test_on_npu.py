"""On an NPU a replaced router is one launch of the operator, and what makes int64 of its int32 experts."""

import pytest
import torch

from ascend_moe_gating import replace_gates, simulator
from tests.eager.test_replacement import assert_same, made, tokens
from tests.eager.written_routers import Router
from tests.fusion.test_fusion_in_models import routers, small

pytestmark = pytest.mark.needs("support by transformers")


def launched(router, x):
    with simulator.record() as log:
        results = router(x)
    return results, [launch.name for launch in log]


@pytest.mark.stand_in
def test_launches_of_deepseek_v3():
    (router, *_) = routers(small("deepseek_v3"))
    x = torch.randn(9, 64)
    with torch.no_grad():
        _, expected_weights, expected_idx = router(x)
        router, x = router.npu(), x.npu()
        _, before = launched(router, x)
        with replace_gates(router):
            router(x)
            (_, weights, idx), after = launched(router, x)
            (_, none, _), without_tokens = launched(router, x[:0])
    behind = [
        names[1 + next(place for place, name in enumerate(names) if "Mat" in name) :] for names in (before, after)
    ]
    assert len(behind[0]) >= 15
    assert behind[1] == ["aclnnMoeGatingTopK", "aclnnInplaceCopy"]
    assert_same((weights.cpu(), idx.cpu()), (expected_weights, expected_idx))
    assert none.shape == (0, 4)
    assert "aclnnMoeGatingTopK" not in without_tokens


def test_gradients():
    router, plain = made().npu(), made()
    x, other = tokens().npu().requires_grad_(), tokens(grad=True)
    with replace_gates(router) as replaced:
        for _ in range(2):
            weights, _ = router(x)
    expected, _ = plain(other)
    factors = torch.linspace(-1, 1, expected.shape[1])
    (weights.sort(1)[0] * factors.npu()).sum().backward()
    (expected.sort(1)[0] * factors).sum().backward()
    torch.testing.assert_close(x.grad.cpu(), other.grad, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(router.weight.grad.cpu(), plain.weight.grad, rtol=1e-3, atol=1e-5)
    assert replaced.fused == 1
    assert type(router) is Router
