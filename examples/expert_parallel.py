"""A DeepSeek-V3 layer whose experts live in several processes: tokens travel to the experts that they chose, and back.

python -m ascend_moe_gating.simulator examples/expert_parallel.py [processes]
torchrun --nproc-per-node 8 examples/expert_parallel.py

Each process has its own tokens, its own experts, and a copy of the gate. On NPUs they talk through hccl, a process for
each NPU; elsewhere through gloo, on the CPU. All compute the same layer in one process too, and compare.
"""

import os
import sys
import tempfile

import torch
import torch.distributed as dist
from torch import nn

from ascend_moe_gating import MoEGate, simulator

HIDDEN, WIDTH, EXPERTS, K, TOKENS = 256, 128, 16, 4, 512


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_and_up = nn.Linear(HIDDEN, 2 * WIDTH, bias=False)
        self.down = nn.Linear(WIDTH, HIDDEN, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_and_up(tokens).chunk(2, dim=-1)
        return self.down(nn.functional.silu(gate) * up)


class Exchange(torch.autograd.Function):
    """Send so many rows to each process and receive so many from each; gradients travel the other way."""

    @staticmethod
    def forward(ctx, rows, sent, received):
        ctx.sent, ctx.received = sent, received
        arrived = rows.new_empty(sum(received), rows.shape[1])
        dist.all_to_all_single(arrived, rows.contiguous(), received, sent)
        return arrived

    @staticmethod
    def backward(ctx, gradient):
        return Exchange.apply(gradient, ctx.received, ctx.sent), None, None


def expert_parallel(gate: MoEGate, experts: nn.ModuleList, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer, with the experts that live here; and how many tokens go from here to each expert of each process."""
    weights, expert_idx = gate(tokens)

    # Dispatch: a row for each choice, in the order of experts, and so of processes. What to expect is told first.
    choices = expert_idx.flatten().long()
    order = choices.argsort(stable=True)
    counts = torch.bincount(choices, minlength=EXPERTS).view(dist.get_world_size(), -1)
    arriving = torch.empty_like(counts)
    dist.all_to_all_single(arriving, counts)
    sent, received = counts.sum(1).tolist(), arriving.sum(1).tolist()
    rows = Exchange.apply(tokens[order // K], sent, received)

    # Rows have arrived process by process, and of each process expert by expert.
    local = torch.arange(len(experts), device=tokens.device).repeat(dist.get_world_size())
    by_expert = local.repeat_interleave(arriving.flatten()).argsort(stable=True)
    shares = rows[by_expert].split(arriving.sum(0).tolist())
    results = torch.cat([expert(share) for expert, share in zip(experts, shares, strict=True)])

    # Combine: back to where they came from, in the order of choices, and the K results of a token are weighed.
    returned = Exchange.apply(results[by_expert.argsort()], received, sent)
    results = returned[order.argsort()].view(-1, K, HIDDEN)
    return (weights.unsqueeze(-1) * results).sum(1), counts


def in_one_process(gate: MoEGate, experts: nn.ModuleList, tokens: torch.Tensor) -> torch.Tensor:
    weights, expert_idx = gate(tokens)
    output = torch.zeros_like(tokens)
    for number, expert in enumerate(experts):
        token, column = torch.where(expert_idx == number)
        output = output.index_add(0, token, weights[token, column].unsqueeze(1) * expert(tokens[token]))
    return output


def layer(device: str) -> tuple[MoEGate, nn.ModuleList, torch.Tensor]:
    """The gate, all experts and all tokens, the same in each process."""
    torch.manual_seed(0)
    gate = MoEGate(HIDDEN, EXPERTS, K, k_group=2, group_count=4, group_select_mode=1, norm_type=1)
    gate.e_score_correction_bias.uniform_(0, 0.2)
    experts = nn.ModuleList(Expert() for _ in range(EXPERTS))
    return gate.to(device), experts.to(device), torch.randn(TOKENS, HIDDEN).to(device)


def work(rank: int, processes: int, rendezvous: str) -> None:
    on_npus = not simulator.active() and hasattr(torch, "npu") and torch.npu.is_available()
    device, backend = (f"npu:{os.environ.get('LOCAL_RANK', rank)}", "hccl") if on_npus else ("cpu", "gloo")
    if on_npus:
        torch.npu.set_device(device)
    dist.init_process_group(backend, init_method=rendezvous, rank=rank, world_size=processes)

    gate, experts, tokens = layer(device)
    first, some = rank * EXPERTS // processes, EXPERTS // processes
    experts = experts[first : first + some]
    tokens = tokens.chunk(processes)[rank].clone().requires_grad_()
    output, counts = expert_parallel(gate, experts, tokens)
    output.square().sum().backward()
    dist.all_reduce(gate.weight.grad)  # each process has that of its own tokens

    whole_gate, whole_experts, whole_tokens = layer(device)
    whole_output = in_one_process(whole_gate, whole_experts, whole_tokens.requires_grad_())
    whole_output.square().sum().backward()

    def furthest(ours, theirs):
        return torch.stack([(a - b).abs().max() for a, b in zip(ours, theirs, strict=True)]).max()

    ours, theirs = experts.parameters(), whole_experts[first : first + some].parameters()
    differences = {
        "outputs": furthest([output], [whole_output.chunk(processes)[rank]]),
        "gradients of tokens": furthest([tokens.grad], [whole_tokens.grad.chunk(processes)[rank]]),
        "gradients of the gate": furthest([gate.weight.grad], [whole_gate.weight.grad]),
        "gradients of experts": furthest([p.grad for p in ours], [p.grad for p in theirs]),
    }
    for difference in differences.values():
        dist.all_reduce(difference, dist.ReduceOp.MAX)
    everywhere = [torch.empty_like(counts) for _ in range(processes)]
    dist.all_gather(everywhere, counts)
    agree = all(difference < 1e-5 for difference in differences.values())
    if rank == 0:
        show(torch.stack(everywhere).cpu(), differences, f"{processes} processes, {backend} on {device.split(':')[0]}")
        print(f"\nagree: {'yes' if agree else 'NO'}", flush=True)
    dist.destroy_process_group()
    sys.exit(not agree)


def show(counts: torch.Tensor, differences: dict[str, torch.Tensor], where: str) -> None:
    """Counts: of the tokens that go from a process to another, to each of the experts there."""
    print(f"\n5. An expert-parallel layer: {where}\n")
    print(f"{TOKENS} tokens choose {K} of {EXPERTS} experts; tokens sent from (row) to (column) each process:")
    for rank, row in enumerate(counts.sum(2).tolist()):
        print(f"  {rank}  {' '.join(f'{count:5}' for count in row)}")
    print("\ntokens per expert, a row for each process:")
    for rank, row in enumerate(counts.sum(0).tolist()):
        print(f"  {rank}  {' '.join(f'{count:5}' for count in row)}")
    print("\nlargest difference from one process:")
    for name, difference in differences.items():
        print(f"  {name:22} {difference.item():.1e}")


def main() -> None:
    by_torchrun = "RANK" in os.environ
    processes = int(os.environ["WORLD_SIZE"] if by_torchrun else (sys.argv[1:] or [2])[0])
    if processes < 1 or EXPERTS % processes != 0:
        sys.exit(f"processes must divide the {EXPERTS} experts, got {processes}")
    if by_torchrun:
        work(int(os.environ["RANK"]), processes, "env://")
    with tempfile.TemporaryDirectory() as folder:
        arguments = (processes, f"file://{folder}/rendezvous")
        torch.multiprocessing.start_processes(work, arguments, processes, start_method="fork")


main()
