"""Writes a gate as its Spelling says: write() makes the function of it."""

import torch
from torch.nn import functional

from tests.fusion.generated_gates import MASKS
from tests.fusion.written_masks import MASKED, expanded


def write(spelling):
    """The gate as a function of logits [tokens, experts] and bias [experts]: weights, ids, and what leaks."""

    def gate(logits, bias):
        if spelling.first:
            values, idx = _largest(spelling, logits, spelling.k, spelling.chosen)
            values = values if spelling.weights == "values" else logits.gather(1, idx)
            weights = (
                values.softmax(-1) if spelling.softmax == "cast first" else values.softmax(-1, dtype=torch.float32)
            )
            return weights, idx if spelling.ids == torch.int64 else idx.to(spelling.ids)
        scores = _scores(spelling, logits)
        if spelling.miss == "scores of other rows":
            scores = torch.cat([logits, logits], 1).float().softmax(1).view(-1, spelling.experts)
        choice = _biased(spelling, scores, bias)
        masked, leaks = _masked(spelling, scores, choice)
        if spelling.miss == "choice among half of the experts":
            masked, scores = masked.view(-1, spelling.experts // 2), scores.view(-1, spelling.experts // 2)
        elif spelling.miss == "choice among two tokens":
            masked = masked.view(-1, spelling.experts * 2)
        values, idx = _largest(spelling, masked, spelling.k, spelling.chosen, spelling.miss == "least chosen")
        weights = _weights(spelling, scores, choice, values, idx)
        weights, total = _normalized(spelling, weights, scores)
        if spelling.miss == "scale a tensor":
            weights = weights * bias.sum()
        elif spelling.miss == "scale a tensor of one":
            weights = weights * bias[:1]
        elif spelling.scale is not None and spelling.norm != "scaled before":
            weights = weights * spelling.scale
        leaks |= {"scores used": scores, "choice used": choice, "sum used": total}
        leaks["sizes of the scores used"] = torch.zeros_like(scores)
        leaked = [leaks[spelling.miss]] if leaks.get(spelling.miss) is not None else []
        return weights, idx if spelling.ids == torch.int64 else idx.to(spelling.ids), *leaked

    return gate


def _scores(spelling, logits):
    if spelling.miss == "float64":
        logits = logits.double()
    elif spelling.miss == "tanh":
        return logits.float().tanh()
    elif spelling.miss == "half precision":
        return (logits.sigmoid() if spelling.sigmoid else logits.softmax(-1)).float()
    elif spelling.sigmoid or spelling.softmax == "cast first":
        logits = logits.to(torch.float32)
    if spelling.sigmoid:
        return functional.softplus(logits).sqrt() if spelling.softplus else logits.sigmoid()
    dim = 0 if spelling.miss == "softmax over tokens" else 1
    return torch.softmax(logits, dim=dim, dtype=torch.float64 if spelling.miss == "float64" else torch.float32)


def _biased(spelling, scores, bias):
    if spelling.miss == "scores of the first token":
        first = scores[:1]
        return (first if spelling.bias is None else first + bias).expand(scores.shape[0], -1)
    if spelling.bias is None:
        return scores
    if spelling.miss == "bias for each token":
        return scores + scores.new_ones(scores.shape[0], 1) * bias
    if spelling.miss == "bias twice":
        return torch.add(scores, bias, alpha=2)
    if spelling.miss == "bias in float64":
        return scores + bias.double()
    if spelling.miss == "bias a number":
        return scores + 0.5
    if spelling.miss == "scores scaled before bias":
        scores = scores * 2.0
    return {
        "plain": lambda: scores + bias,
        "subtracted": lambda: scores - (0 - bias),
        "first": lambda: bias + scores,
        "unsqueezed": lambda: scores + bias.unsqueeze(0),
        "expanded": lambda: scores + bias[None, :].expand(scores.shape[0], -1),
        "viewed": lambda: scores.view(-1, spelling.experts) + bias.view(1, -1),
    }[spelling.bias]()


def _masked(spelling, scores, choice):
    """The choice without the experts of other groups."""
    if not spelling.masks:
        return choice, {}
    tokens, groups, size = choice.shape[0], spelling.groups, spelling.size
    others = {
        "groups of half of the experts": (2 * tokens, groups, size // 2),
        "groups of two tokens": (tokens // 2, groups, 2 * size),
        "groups of all tokens": (1, groups, tokens * size),
    }
    if spelling.miss in others:
        return _masked_in_groups(spelling, choice, choice.view(others[spelling.miss])), {}
    ranked = scores if spelling.miss == "groups ranked without bias" else choice
    grouped = ranked.view(-1, spelling.groups, spelling.size)
    group_scores = _group_scores(spelling, grouped)
    idx = _largest(spelling, group_scores, spelling.kept, "unsorted", spelling.miss == "worst groups kept")[1]
    if spelling.miss == "groups of the first token":
        idx = idx[:1]
    if spelling.miss == "random groups":
        idx = (idx + 1) % spelling.groups
    leaks = {"group scores used": group_scores}
    write_mask = MASKED[spelling.mask]
    if spelling.miss in ("best groups dropped", "groups interleaved", "mask used") or "mask of the" in str(
        spelling.miss
    ):
        write_mask = expanded
    masked, leaks["mask used"] = write_mask(spelling, choice, group_scores, idx)
    return masked, leaks


def _masked_in_groups(spelling, choice, grouped):
    """The choice of which `grouped`, in whatever rows, keeps the best groups."""
    group_scores = _group_scores(spelling, grouped)
    idx = torch.topk(group_scores, spelling.kept, dim=-1)[1]
    dropped = torch.ones_like(group_scores, dtype=torch.bool).scatter(1, idx, False).unsqueeze(-1)
    if spelling.mask in MASKS[::2]:
        return grouped.masked_fill(dropped, spelling.fill).view(choice.shape)
    return choice.masked_fill(dropped.expand(grouped.shape).reshape(choice.shape), spelling.fill)


_EXPANDED = (
    *("best groups dropped", "groups interleaved", "mask used", "mask of the first token"),
    "mask of the token before",
)


def _group_scores(spelling, grouped):
    if spelling.miss == "mean of a group":
        return grouped.mean(-1)
    if spelling.miss == "least of a group":
        return grouped.amin(-1)
    best = 3 if spelling.miss == "three of a group" else 2 if spelling.two else 1
    if best > 1:
        if spelling.grouping == "sort":
            return grouped.sort(-1, descending=True)[0][..., :best].sum(-1)
        if spelling.grouping == "topk, kept dimension":
            return grouped.topk(best, -1)[0].sum(-1, keepdim=True).squeeze(-1)
        float64 = {"dtype": torch.float64} if spelling.miss == "groups scored in float64" else {}
        return grouped.topk(best, dim=-1)[0].sum(dim=-1, **float64)
    return {
        "amax": lambda: grouped.amax(-1),
        "max": lambda: grouped.max(dim=-1).values,
        "topk": lambda: grouped.topk(1, dim=-1)[0].squeeze(-1),
        "sort": lambda: grouped.sort(dim=-1, descending=True)[0][..., :1].squeeze(-1),
    }[spelling.grouping]()


def _largest(spelling, x, k, how, smallest=False):
    if how in ("topk", "unsorted") or smallest:
        return torch.topk(x, k=k, dim=-1, largest=not smallest, sorted=how == "topk")
    if how == "method":
        return None, x.topk(k, -1).indices
    if how == "argsort":
        return None, torch.argsort(x, dim=-1, descending=True, stable=True)[:, :k]
    values, idx = torch.sort(x, dim=-1, descending=True, stable=True)
    return values[:, :k], idx[:, :k]


def _weights(spelling, scores, choice, values, idx):
    if spelling.miss == "weights gathered from biased scores":
        return choice.gather(1, idx)
    if spelling.miss == "choice among two tokens":
        return values
    if spelling.miss == "weights of the token before":
        return scores.roll(1, 0).gather(1, idx)
    if spelling.miss == "weights gathered by other ids":
        return scores.gather(1, (idx + 1) % spelling.experts)
    if spelling.weights == "values":
        return values
    return {
        "gather": lambda: scores.gather(1, idx),
        "along": lambda: torch.take_along_dim(scores, idx, dim=1),
        "indexed": lambda: scores[torch.arange(scores.shape[0], device=scores.device)[:, None], idx],
    }[spelling.taken]()


def _normalized(spelling, weights, scores):
    if spelling.norm is None:
        return weights, None
    total = weights.sum(dim=-1, keepdim=True)
    if spelling.miss == "eps added to the weights":
        return (weights + 1e-3) / total, total
    if spelling.miss == "eps added to each weight":
        return (weights + 1e-3) / (weights + 1e-3).sum(-1, keepdim=True), total
    if spelling.miss == "eps a tensor":
        return weights / (total + scores.new_ones(1)), total
    if spelling.miss == "clamped":
        return weights / total.clamp(min=1e-3), total
    if spelling.miss == "divided by another sum":
        return weights / scores.sum(dim=-1, keepdim=True), total
    if spelling.miss == "divided by the sum over tokens":
        return weights / weights.sum(dim=0, keepdim=True), total
    if spelling.miss == "divided by the sum of another token":  # of as many tokens as chosen experts
        return weights / weights.sum(dim=-1), total
    if spelling.miss == "divided by the sum of squares":
        return weights / (weights * weights).sum(dim=-1, keepdim=True), total
    return {
        "eps": lambda: weights / (total + spelling.eps),
        "eps first": lambda: weights / (spelling.eps + total),
        "plain": lambda: weights / total,
        "unsqueezed": lambda: weights / weights.sum(-1).unsqueeze(-1),
        "reciprocal": lambda: weights * (1 / total),
        "scaled before": lambda: weights * (1.0 if spelling.scale is None else spelling.scale) / total,
        "normalize": lambda: functional.normalize(weights, p=1, dim=-1),
        "clamped": lambda: weights / total.clamp(min=1e-12),
    }[spelling.norm](), total
