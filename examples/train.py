"""Train a small Mixture-of-Experts language model twice, with and without DeepSeek-V3's balance of the experts' load.

python -m ascend_moe_gating.simulator examples/train.py [--device npu] [--steps 200] [--picture train.svg]

The balance is no term of the loss: after each step `balance.update_bias` makes the experts that had too many tokens a
little less likely to be chosen. The model reads the first chapters of Pride and Prejudice, a character at a time.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import nn

from ascend_moe_gating import MoEGate, balance, simulator

TEXT = Path(__file__).parent / "text" / "pride_and_prejudice.txt"
LAYERS, HIDDEN, WIDTH, EXPERTS, K, EXPERT_HIDDEN = 2, 64, 4, 16, 4, 32
BATCH, LENGTH, LEARNING_RATE = 8, 64, 0.2
BIAS_RATE = 0.01  # 0.001 in DeepSeek-V3, which trains for longer


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(HIDDEN, 2 * EXPERT_HIDDEN, bias=False)
        self.down = nn.Linear(EXPERT_HIDDEN, HIDDEN, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.up(x).chunk(2, dim=-1)
        return self.down(gate * gate.sigmoid() * up)


class MoE(nn.Module):
    """DeepSeek-V3's layer: for each token 4 of 16 experts, of the 2 best of 4 groups, and one that all tokens share."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = MoEGate(HIDDEN, EXPERTS, K, group_count=4, k_group=2, group_select_mode=1, norm_type=1)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))
        self.shared = Expert()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = x.flatten(0, 1)
        weights, expert_idx = self.gate(tokens)
        load = balance.tokens_per_expert(expert_idx, EXPERTS)

        # Each expert is called once, with all of its tokens: they are sorted by expert, and back again.
        order = expert_idx.flatten().float().argsort()  # an NPU sorts floats faster
        rows = tokens[order // K].split(load.long().tolist())
        results = torch.cat([expert(row) for expert, row in zip(self.experts, rows, strict=True)])
        results = results[order.float().argsort()].unflatten(0, (-1, K))
        routed = (results * weights.unsqueeze(2)).sum(1)
        return self.shared(x) + routed.view_as(x), load


class Mixer(nn.Module):
    """Each position is mixed with the ones before it, as a causal convolution does."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Linear(WIDTH * HIDDEN, HIDDEN, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = torch.cat((torch.zeros_like(x[:, 1:WIDTH]), x), 1)
        return self.weights(torch.cat([padded[:, shift : shift + x.shape[1]] for shift in range(WIDTH)], -1))


class Model(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(vocabulary, HIDDEN))
        self.mixers = nn.ModuleList(Mixer() for _ in range(LAYERS))
        self.moes = nn.ModuleList(MoE() for _ in range(LAYERS))
        self.head = nn.Linear(HIDDEN, vocabulary, bias=False)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [batch, length, vocabulary] and the load [layers, experts]."""
        x, loads = self.embedding[ids], []
        for mixer, moe in zip(self.mixers, self.moes, strict=True):
            x = x + mixer(norm(x))
            added, load = moe(norm(x))
            x = x + added
            loads.append(load)
        return self.head(norm(x)), torch.stack(loads)


def norm(x: torch.Tensor) -> torch.Tensor:
    return x * (x.square().mean(-1, keepdim=True) + 1e-6) ** -0.5


# Written out, and foreach=False below, in operations that the stand-in for an NPU has too.
def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).clamp_min(1e-9).log().mean()


def train(text: torch.Tensor, device: str, steps: int, bias_rate: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses [steps] and loads [steps, layers, experts]. A seed makes every call start alike and read the same."""
    torch.manual_seed(0)
    model = Model(int(text.max()) + 1).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, foreach=False)
    losses, loads = [], []
    for step in range(steps):
        starts = torch.randint(len(text) - LENGTH, (BATCH, 1))
        ids = text[starts + torch.arange(LENGTH + 1)].to(device)
        logits, load = model(ids[:, :-1])
        loss = cross_entropy(logits, ids[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=False)
        optimizer.step()
        # On several devices, sum the load over them first.
        for moe, of_layer in zip(model.moes, load, strict=True):
            balance.update_bias(moe.gate.e_score_correction_bias, of_layer, bias_rate)
        losses.append(loss.item())
        loads.append(load.cpu())
        show_progress(step + 1, steps, f"bias rate {bias_rate:g}, loss {losses[-1]:.2f}")
    return torch.tensor(losses), torch.stack(loads)


def show_progress(step: int, steps: int, note: str) -> None:
    """A bar that grows in a terminal; elsewhere a line at the end."""
    bar = "#" * (30 * step // steps)
    if sys.stdout.isatty():
        print(f"\r[{bar:30}] {step}/{steps} steps, {note}", end="", flush=True)
    if step == steps:
        print("" if sys.stdout.isatty() else f"{steps} steps, {note}")


def busiest(loads: torch.Tensor) -> float:
    """What the busiest expert of a layer gets, relative to its share of an even load."""
    load = loads.sum(0)
    return (load / load.mean(-1, keepdim=True)).max().item()


def report(runs: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> bool:
    """Prints the table. Whether the loss fell in both runs, and the load is at least twice as even with the update."""
    print(f"\n{'':20} loss: start    end   busiest expert: start    end   (1.00 is an even load)")
    ends, fell = [], True
    for name, (losses, loads) in runs.items():
        tenth = max(1, len(losses) // 10)  # of the steps: each is noisy
        start, end = slice(tenth), slice(-tenth, None)
        fell = fell and bool(losses[end].mean() < losses[start].mean())
        ends.append(busiest(loads[end]))
        print(f"{name:20} {losses[start].mean():11.2f} {losses[end].mean():6.2f}", end="")
        print(f" {busiest(loads[start]):22.2f} {ends[-1]:6.2f}")
    uneven, even = ends
    evened = even - 1 < (uneven - 1) / 2
    print(f"\nthe loss fell: {'yes' if fell else 'NO'}, the load evened out: {'yes' if evened else 'NO'}")
    return fell and evened


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small Mixture-of-Experts model with and without balance.")
    default = "npu" if simulator.real_cann() else "cpu"
    parser.add_argument("--device", choices=["cpu", "npu"], default=default, help="default: npu where there is one")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--bias-rate", type=float, default=BIAS_RATE, help="what update_bias adds or subtracts")
    parser.add_argument("--picture", type=Path, help="an SVG to draw load and loss in; needs matplotlib")
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error("--steps must be at least 2: a start and an end")
    if arguments.device == "npu":
        import torch_npu  # noqa: F401
    if arguments.picture:
        from train_picture import draw  # matplotlib: if it is missing, that is told before the training
    torch.set_num_threads(1)  # matrices are so small that threads would only wait for each other

    characters = TEXT.read_text()
    alphabet = {character: number for number, character in enumerate(sorted(set(characters)))}
    text = torch.tensor([alphabet[character] for character in characters])
    rates = {"without update_bias": 0.0, "with update_bias": arguments.bias_rate}
    runs = {name: train(text, arguments.device, arguments.steps, rate) for name, rate in rates.items()}

    if arguments.picture:
        draw(runs, arguments.picture)
    sys.exit(not report(runs))


if __name__ == "__main__":
    main()
