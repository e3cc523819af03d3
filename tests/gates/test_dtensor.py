"""DTensors: tokens are routed where they are, and the results are those of one process with the whole tensors."""

import pytest

from tests.package.test_missing_packages import HIDE
from tests.programs import on_stand_in, run

TWO_PROCESSES = '''
import datetime, faulthandler, os, sys
import ascend_moe_gating
import torch.distributed as dist
from ascend_moe_gating import MoEGate
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_module, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.experimental import implicit_replication

store = dist.FileStore(os.environ["STORE"], 2)
child = os.fork()
faulthandler.dump_traceback_later(200, exit=True)  # who hangs says where
rank, a_minute = int(child == 0), datetime.timedelta(minutes=1)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=a_minute)
mesh, whole = init_device_mesh("cpu", (2,)), Replicate()
torch.manual_seed(0)

def spread(tensor, placement):
    return distribute_tensor(tensor, mesh, [placement])

def ways(name):
    return getattr(ascend_moe_gating, name), getattr(torch.ops.npu, name)

class sends:
    def __init__(self, expected):
        self.expected, self.mode = expected, CommDebugMode()

    def __enter__(self):
        self.mode.__enter__()

    def __exit__(self, *error):
        self.mode.__exit__(*error)
        sent = self.mode.get_total_counts()
        assert error[0] or sent == self.expected, self.mode.get_comm_counts()

def check(results, expected):
    for result, other in zip(results, expected):
        torch.testing.assert_close(result.full_tensor(), other, rtol=0, atol=1e-6)

def compare(function, x, placement, gathers=0, **others):
    """Others are by name a value, or a tensor and its placement."""
    tensors = {name: value for name, value in others.items() if type(value) is tuple}
    values = {name: value for name, value in others.items() if name not in tensors}
    given = {name: spread(*value) for name, value in tensors.items()}
    one = x.clone().requires_grad_()
    expected = function(one, **values, **{name: value[0] for name, value in tensors.items()})
    gradients = [torch.randn_like(result) if result.requires_grad else None for result in expected]
    goes = placement if placement != Shard(x.dim() - 1) else whole
    for x_given in (spread(x, placement), spread(x, placement).requires_grad_()):
        with sends(gathers):
            results = function(x_given, **values, **given)
        for result, other in zip(results, expected):
            assert result.placements == (whole if other.dim() != x.dim() else goes,)
            assert result.shape == other.shape and result.stride() == other.stride() and result.dtype == other.dtype
        check(results, [result.detach() for result in expected])
    pairs = [(r, e, g, spread(g, goes)) for r, e, g in zip(results, expected, gradients) if g is not None]
    with sends(0):
        torch.autograd.backward([r for r, *_ in pairs], [g for *_, g in pairs])
    torch.autograd.backward([e for _, e, *_ in pairs], [g for *_, g, _ in pairs])
    assert x_given.grad.placements == (placement,)
    check([x_given.grad], [one.grad])
'''
END = """
dist.barrier()
os._exit(child and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))  # to leave the group may take for ever
"""
ONE_PROCESS = """
import torch.distributed as dist
import ascend_moe_gating
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard

dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)

def spread(tensor, placement, mesh):
    return DTensor.from_local(tensor.to(mesh.device_type), mesh, [placement], run_check=False)
"""


def two_processes(code, tmp_path):
    result = on_stand_in(TWO_PROCESSES + code + END, STORE=str(tmp_path / "store"))
    assert result.returncode == 0, result.stderr


def one_process(code):
    result = on_stand_in(ONE_PROCESS + code)
    assert result.returncode == 0, result.stderr


def test_a_choice_of_groups_sends_nothing(tmp_path):
    code = """
groups = dict(k=3, k_group=2, group_count=4, group_select_mode=1)
others = dict(norm_type=1, routed_scaling_factor=2.5, out_flag=True)
for function in ways("npu_moe_gating_top_k"):
    for tokens in (8, 7, 1, 0):  # of the last three the second process has fewer, or none
        for placement in (Shard(0), whole):
            compare(function, torch.randn(tokens, 16), placement, bias=(torch.rand(16), whole), **groups, **others)
"""
    two_processes(code, tmp_path)


def test_a_softmax_sends_nothing(tmp_path):
    code = """
for name, options in (("", {}), ("_v2", dict(renorm=1)), ("_v2", dict(output_softmax=True))):
    for function in ways("npu_moe_gating_top_k_softmax" + name):
        for shape in ((7, 16), (5, 6, 16)):  # uneven behind the first dimension, torch 2.5 gathers
            for placement in (*map(Shard, range(len(shape) - 1)), whole):
                finished = torch.rand(shape[:-1]) > 0.5
                compare(function, torch.randn(shape), placement, k=3, finished=(finished, placement), **options)
"""
    two_processes(code, tmp_path)


@pytest.mark.needs("hash routing")
def test_hash_routing_sends_nothing(tmp_path):
    code = """
ids, table = torch.randint(0, 9, (7,)), torch.stack([torch.randperm(16)[:3] for _ in range(9)])
for function in ways("npu_moe_gating_top_k"):
    for ids_are, table_is, gathers in ((Shard(0), whole, 0), (whole, whole, 0), (Shard(0), Shard(0), 1)):
        given = dict(input_ids=(ids, ids_are), tid2eid=(table, table_is))
        compare(function, torch.randn(7, 16), Shard(0), gathers, k=3, norm_type=1, out_flag=True, **given)
"""
    two_processes(code, tmp_path)


def test_what_is_wanted_whole_is_gathered(tmp_path):
    code = """
for function in ways("npu_moe_gating_top_k"):
    compare(function, torch.randn(7, 16), Shard(1), 1, k=3, out_flag=True, bias=(torch.rand(16), whole))
    compare(function, torch.randn(7, 16), Shard(0), 1, k=3, out_flag=True, bias=(torch.rand(16), Shard(0)))
    half = torch.randn(7, 16)
    summed = DTensor.from_local(half, mesh, [Partial()], run_check=False)
    with sends(1):
        results = function(summed, 3)
    check(results[:2], function(2 * half, 3))
for name in ("", "_v2"):
    for function in ways("npu_moe_gating_top_k_softmax" + name):
        compare(function, torch.randn(4, 5, 16), Shard(2), 1, k=3)
        compare(function, torch.randn(4, 5, 16), Shard(0), 1, k=3, finished=(torch.rand(4, 5) > 0.5, Shard(1)))
"""
    two_processes(code, tmp_path)


@pytest.mark.parametrize("options", ["norm_type=1, k_group=2, group_count=4", "renorm=1, router_bias=True"])
def test_a_gate_sends_nothing(options, tmp_path):
    code = f"""
gate, one = (MoEGate(64, 16, 3, {options}) for _ in range(2))
for tensor in gate.state_dict().values():
    tensor.copy_(torch.randn(tensor.shape))
one.load_state_dict(gate.state_dict())
distribute_module(gate, mesh)
assert all(type(tensor) is DTensor for tensor in (*gate.parameters(), *gate.buffers()))
for shape in ((7, 64), (6, 5, 64)):
    hidden_states = torch.randn(shape)
    given, alone = spread(hidden_states, Shard(0)).requires_grad_(), hidden_states.clone().requires_grad_()
    with sends(0):
        results = gate(given, return_scores=True)
    expected = one(alone, return_scores=True)
    assert all(result.placements == (Shard(0),) for result in results)
    check(results, [result.detach() for result in expected])
    gradients = [torch.randn(result.shape) for result in expected[::2]]
    spread_gradients = [spread(gradient, Shard(0)) for gradient in gradients]
    with sends(0):
        torch.autograd.backward(results[::2], spread_gradients)
    torch.autograd.backward(expected[::2], gradients)
    check([given.grad], [alone.grad])
    for name, parameter in gate.named_parameters():
        assert parameter.grad.placements == (Partial(),)  # a sum over processes is due, as of torch's linear
        check([parameter.grad], [one.get_parameter(name).grad])
    gate.zero_grad()
    one.zero_grad()
"""
    two_processes(code, tmp_path)


def test_plain_tensors_and_what_breaks_a_constraint(tmp_path):
    code = """
def refused(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__ + " " + str(error)

plain, x, bias = torch.randn(7, 16), spread(torch.randn(7, 16), Shard(0)), torch.rand(16)
trained = spread(torch.randn(7, 16), Shard(0)).requires_grad_()
for function in ways("npu_moe_gating_top_k"):
    mixed = "RuntimeError npu.npu_moe_gating_top_k.default: got mixed torch.Tensor and DTensor"
    for given, other in ((x, bias), (trained, bias), (plain, spread(bias, whole))):
        assert mixed in refused(lambda: function(given, 3, bias=other))
    with implicit_replication():
        for given in (x, trained):
            results, expected = (function(each, 3, bias=bias) for each in (given, given.full_tensor()))
            assert torch.equal(results[1].full_tensor(), expected[1])
    for given in (x, trained):
        for options in (dict(k=17), dict(k=3, group_count=3), dict(k=3, norm_type=3), dict(k=3, bias=x)):
            words = refused(lambda: function(given, **options))
            plain_words = refused(lambda: ascend_moe_gating.npu_moe_gating_top_k(given.full_tensor(), **options))
            assert words == plain_words, (words, plain_words)
        assert "TypeError x must be float32, bfloat16 or float16, got float64 (C2)" in refused(
            lambda: function(given.double(), 3)
        )
"""
    two_processes(code, tmp_path)


def test_on_an_npu():
    code = """
mesh = init_device_mesh("npu", (1,))
x, bias = torch.randn(8, 16), torch.rand(16)
given, alone = spread(x, Shard(0), mesh).requires_grad_(), x.npu().requires_grad_()
options = dict(norm_type=1, k_group=2, group_count=4)
y, expert_idx, _ = ascend_moe_gating.npu_moe_gating_top_k(given, 3, bias=spread(bias, Replicate(), mesh), **options)
expected = ascend_moe_gating.npu_moe_gating_top_k(alone, 3, bias=bias.npu(), **options)
assert torch.equal(y.to_local(), expected[0]) and torch.equal(expert_idx.to_local(), expected[1])
y.to_local().square().sum().backward()
expected[0].square().sum().backward()
torch.testing.assert_close(given.grad.to_local(), alone.grad)
for function in (ascend_moe_gating.npu_moe_gating_top_k, torch.ops.npu.npu_moe_gating_top_k):
    assert function(spread(x[:0], Shard(0), mesh), 3)[1].shape == (0, 3)
"""
    one_process(code)


def test_compiled():
    code = """
mesh = init_device_mesh("cpu", (1,))
x, bias = torch.randn(8, 16), torch.rand(16)

def gate(x, bias):
    return ascend_moe_gating.npu_moe_gating_top_k(x, 3, bias=bias, norm_type=1)[0] * 2

for backend in ("eager", "aot_eager"):
    given, alone = spread(x, Shard(0), mesh).requires_grad_(), x.clone().requires_grad_()
    y = torch.compile(gate, backend=backend, fullgraph=True)(given, spread(bias, Replicate(), mesh))
    expected = gate(alone, bias)
    assert y.placements == (Shard(0),) and torch.equal(y.to_local(), expected)
    y.square().sum().backward()
    expected.square().sum().backward()
    assert torch.equal(given.grad.to_local(), alone.grad)
"""
    one_process(code)


def test_who_has_no_dtensors_waits_for_none():
    code = """
import torch, ascend_moe_gating
ascend_moe_gating.npu_moe_gating_top_k(torch.zeros(2, 8), 2)
rule = "ascend_moe_gating.plugin.registration.dtensors"
print("torch.distributed.tensor" in sys.modules, rule in sys.modules)
import torch.distributed.tensor
print(rule in sys.modules)
"""
    printed = run(HIDE.format("torch_npu") + code, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert printed == "False False\nTrue\n"
