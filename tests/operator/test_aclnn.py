"""The direct aclnn call: what CANN refuses becomes an error that names the call, the code and CANN's words."""

import pytest
import torch

from ascend_moe_gating.plugin.aclnn import cann
from ascend_moe_gating.plugin.aclnn import npu_moe_gating_top_k as aclnn


@pytest.mark.stand_in
def test_a_refusal_of_the_first_phase(monkeypatch):
    monkeypatch.setattr(aclnn, "check", lambda *arguments: None)  # as if the constraints let something pass
    x = torch.zeros(2, 8).npu()
    with pytest.raises(
        RuntimeError, match=r"aclnnMoeGatingTopKGetWorkspaceSize returned 561002: .*renorm is 2, it must be 0 or 1"
    ):
        aclnn.npu_moe_gating_top_k(x, 2, renorm=2)
    with pytest.raises(RuntimeError, match=r"aclnnMoeGatingTopKGetWorkspaceSize returned 161002: .*bias .* x's dtype"):
        aclnn.npu_moe_gating_top_k(x, 2, bias=torch.zeros(8, dtype=torch.float16).npu())
    assert aclnn.npu_moe_gating_top_k(x, 2)[1].cpu().tolist() == [[0, 1], [0, 1]]


def test_it_keeps_the_order_of_the_stream():
    x = torch.zeros(2, 8).npu()
    for best in range(8):
        row = torch.zeros(8)
        row[best] = 1
        x.copy_(row.expand(2, 8))
        assert aclnn.npu_moe_gating_top_k(x, 1)[1].cpu().tolist() == [[best], [best]]


def test_it_runs_on_the_device_of_x():
    x = torch.arange(16.0).view(2, 8).to("npu:1")
    y, expert_idx, norm_out = aclnn.npu_moe_gating_top_k(x, 2, out_flag=True)
    assert {str(result.device) for result in (y, expert_idx, norm_out)} == {"npu:1"}
    assert expert_idx.cpu().tolist() == [[7, 6], [7, 6]]
    torch.testing.assert_close(norm_out.cpu(), x.cpu().softmax(1))


def test_a_cann_without_hash_routing_is_refused_by_name(monkeypatch):
    class OldCann(cann._Cann):
        def phases(self, name, parameters, results):
            return super().phases(name.replace("KV2", "KV0"), parameters, results)

    monkeypatch.setattr(cann, "_cann", OldCann)
    ids = torch.zeros(2, dtype=torch.int32).npu()
    assert aclnn.npu_moe_gating_top_k(torch.zeros(2, 8).npu(), 2)[1].cpu().tolist() == [[0, 1], [0, 1]]
    with pytest.raises(NotImplementedError, match=r"the installed CANN has no aclnnMoeGatingTopKV2"):
        aclnn.npu_moe_gating_top_k(torch.zeros(2, 8).npu(), 2, input_ids=ids, tid2eid=ids.view(1, 2))
