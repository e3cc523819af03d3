"""Routers as people write them: gates in forward, in methods, before loops, and beside things that are in the way."""

import torch
from torch import nn
from torch.nn import functional

HIDDEN, EXPERTS, K = 64, 32, 4


class Router(nn.Module):
    """Scores are sigmoids; others change what they say below."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(EXPERTS, HIDDEN))
        self.register_buffer("bias", torch.rand(EXPERTS))
        self.top_k, self.scale = K, 2.5

    def forward(self, x):
        return self.route(functional.linear(x, self.weight).sigmoid())

    def route(self, scores):
        idx = torch.topk(scores + self.bias, self.top_k, dim=-1)[1]
        weights = scores.gather(1, idx)
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * self.scale, idx


class ChoosesWithoutGradient(Router):
    @torch.no_grad()
    def choose(self, scores):
        return torch.topk(scores + self.bias.float() * 1.0, self.top_k, dim=-1)[1]

    def forward(self, x):
        scores = functional.linear(x, self.weight).sigmoid()
        weights = scores.gather(1, idx := self.choose(scores))
        return weights / weights.sum(-1, keepdim=True), idx


class SwitchesGradientsOff(Router):
    def forward(self, x):
        scores = functional.linear(x, self.weight).sigmoid()
        torch.set_grad_enabled(False)
        idx = torch.topk(scores + self.bias, self.top_k, dim=-1)[1]
        torch.set_grad_enabled(True)
        weights = scores.gather(1, idx)
        return weights / weights.sum(-1, keepdim=True), idx


class WeighsWithoutGradient(Router):
    def forward(self, x):
        logits = functional.linear(x, self.weight)
        with torch.no_grad():
            weights, idx = self.route(logits.sigmoid())
        return weights, idx, logits.mean(-1)


class DetachesTheWeights(Router):
    """Nothing else has the scores' gradient."""

    def forward(self, x):
        scores = functional.linear(x, self.weight).sigmoid()
        idx = torch.topk(scores + self.bias, self.top_k, dim=-1)[1]
        weights = scores.detach().gather(1, idx)
        return weights / weights.sum(-1, keepdim=True), idx, scores.mean(-1)


class DetachesTheSum(Router):
    def forward(self, x):
        scores = functional.linear(x, self.weight).sigmoid()
        idx = torch.topk(scores + self.bias, self.top_k, dim=-1)[1]
        weights = scores.gather(1, idx)
        return weights / weights.sum(-1, keepdim=True).detach(), idx


class _TimesSeven(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights):
        return weights.clone()

    @staticmethod
    def backward(ctx, gradient):
        return 7 * gradient


class HasAFunctionOfItsOwn(Router):
    def forward(self, x):
        weights, idx = self.route(functional.linear(x, self.weight).sigmoid())
        return _TimesSeven.apply(weights), idx


class TakesNoise(Router):
    def forward(self, x):
        if self.training:
            x = x * torch.empty_like(x).uniform_(0.9, 1.1)
        return self.route(functional.linear(x, self.weight).sigmoid())


class Counts(Router):
    calls = 0

    def forward(self, x):
        self.calls += 1
        self.bias.add_(0.01)
        self.last = functional.linear(x, self.weight)
        return self.route(self.last.sigmoid())


class InInferenceMode(Router):
    def forward(self, x):
        logits = functional.linear(x, self.weight)
        with torch.inference_mode():
            weights, idx = self.route(logits.sigmoid())
        return weights.clone(), idx.clone(), logits.mean(-1)


class WithoutAutocast(Router):
    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            return self.route(functional.linear(x.float(), self.weight.float()).sigmoid())


class TakesKeywords(Router):
    def forward(self, x, *, temperature=1.0, **unused):
        return self.route((functional.linear(x, self.weight) * temperature).sigmoid())


class ReadsData(Router):
    def forward(self, x):
        scores = functional.linear(x, self.weight).sigmoid()
        idx = torch.topk(scores.data + self.bias, self.top_k, dim=-1)[1]
        weights = scores.gather(1, idx)
        return weights / weights.sum(-1, keepdim=True), idx


class HasNoGradient(Router):
    @torch.no_grad()
    def forward(self, x):
        return self.route(functional.linear(x, self.weight).sigmoid())


class Loops(Router):
    """Mixtral's layer of 2024: the gate and the loop over experts in one method."""

    def forward(self, x):
        logits = functional.linear(x, self.weight)
        weights = functional.softmax(logits, dim=1, dtype=torch.float)
        weights, chosen = torch.topk(weights, self.top_k, dim=-1)
        weights /= weights.sum(dim=-1, keepdim=True)
        weights = weights.to(x.dtype)
        results = torch.zeros_like(x)
        mask = functional.one_hot(chosen, num_classes=EXPERTS).permute(2, 1, 0)
        for expert in torch.greater(mask.sum(dim=(-1, -2)), 0).nonzero():
            place, token = torch.where(mask[expert].squeeze(0))
            results.index_add_(0, token, x[token] * weights[token, place, None] * (expert + 1))
        return results, logits


class LoopsBehindAMethod(Router):
    """As transformers has written it: the gate is a method, and its caller loops."""

    def forward(self, x):
        weights, idx = self.route(functional.linear(x, self.weight).sigmoid())
        results = torch.zeros_like(x)
        for expert in range(EXPERTS):
            token, place = torch.where(idx == expert)
            if token.numel() == 0:
                continue
            results[token] += x[token] * weights[token, place, None] * (expert + 1)
        return results


class ReturnsEarly(Router):
    def forward(self, x):
        if x.shape[0] == 0:
            return None
        weights, idx = torch.topk(functional.linear(x, self.weight).softmax(-1), self.top_k)
        results = torch.zeros_like(x)
        for expert in range(EXPERTS):
            results += x * (weights * (idx == expert)).sum(1, keepdim=True) * expert
        return results


class Refuses(Router):
    def forward(self, x):
        if self.training:
            raise KeyError("not while training")
        return self.route(functional.linear(x, self.weight).sigmoid())


class HasALayer(Router):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(HIDDEN, EXPERTS)

    def forward(self, x):
        return self.route(self.layer(x).sigmoid())


REPLACED = (
    *(Router, ChoosesWithoutGradient, SwitchesGradientsOff, WeighsWithoutGradient, DetachesTheSum),
    *(HasAFunctionOfItsOwn, TakesNoise, Counts, WithoutAutocast, TakesKeywords, HasNoGradient, Loops),
    *(LoopsBehindAMethod, HasALayer),
)
LEFT = {
    DetachesTheWeights: "a part of it has no gradient, and another has one",
    InInferenceMode: "forward can't be traced: there is a inference_mode in it",
    ReadsData: "forward can't be traced: ",
    ReturnsEarly: "forward can't be traced: ",
}
