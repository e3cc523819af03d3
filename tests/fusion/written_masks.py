"""Writes how a gate drops the experts of other groups than the best: the masked choice, and the mask."""

import torch
from torch.nn import functional

from tests.capabilities import has
from tests.fusion.generated_gates import MASKS


def expanded(spelling, choice, group_scores, idx):
    """DeepSeek's in transformers; several near misses are changes of it."""
    mask = torch.zeros_like(group_scores)
    mask.scatter_(1, idx, 1)
    if spelling.miss == "groups interleaved":
        mask = mask.unsqueeze(1).expand(-1, spelling.size, spelling.groups).reshape(-1, spelling.experts)
    else:
        mask = mask.unsqueeze(-1).expand(-1, spelling.groups, spelling.size).reshape(-1, spelling.experts)
    if spelling.miss == "mask of the first token":
        mask = mask[:1]
    elif spelling.miss == "mask of the token before":
        mask = mask.roll(1, 0)
    dropped = mask.bool() if spelling.miss == "best groups dropped" else ~mask.bool()
    return choice.masked_fill(dropped, spelling.fill), mask


def _ones_bool(spelling, choice, group_scores, idx):
    grouped = choice.view(choice.shape[0], spelling.groups, -1)
    mask = grouped.new_ones(choice.shape[0], spelling.groups, dtype=bool).scatter_(1, idx, False)
    return grouped.masked_fill_(mask.unsqueeze(-1), spelling.fill).flatten(1), mask


def _where(spelling, choice, group_scores, idx):
    mask = torch.zeros_like(group_scores, dtype=torch.bool).scatter(1, idx, True)
    wide = mask[:, :, None].expand(-1, -1, spelling.size).flatten(1)
    return torch.where(wide, choice, torch.full_like(choice, spelling.fill)), mask


def _where_other(spelling, choice, group_scores, idx):
    mask = torch.ones_like(group_scores).scatter(1, idx, 0.0)
    return torch.where(mask.repeat_interleave(spelling.size, dim=1) != 0, spelling.fill, choice), mask


def _full(spelling, choice, group_scores, idx):
    mask = torch.full(group_scores.shape, 3, dtype=torch.int32, device=choice.device).scatter(1, idx, 7)
    wide = (mask - 7).abs().unsqueeze(2).expand(-1, spelling.groups, spelling.size).reshape(choice.shape)
    return choice.masked_fill(wide > 1, spelling.fill), mask


def _equal_to_zero(spelling, choice, group_scores, idx):
    mask = torch.zeros_like(group_scores).scatter_(1, idx, 1.0).unsqueeze(-1)
    grouped = choice.unflatten(1, (spelling.groups, spelling.size))
    return grouped.masked_fill(mask == 0, spelling.fill).reshape(-1, spelling.experts), mask


def _one_minus(spelling, choice, group_scores, idx):
    mask = torch.zeros_like(group_scores).scatter_(1, idx, 1.0)
    wide = (1.0 - mask).unsqueeze(-1).expand(-1, -1, spelling.size).reshape(-1, spelling.experts)
    return choice.masked_fill(wide.to(torch.bool), spelling.fill), mask


def _repeated(spelling, choice, group_scores, idx):
    mask = torch.zeros_like(group_scores).scatter_(1, idx, 1.0)
    wide = mask.unsqueeze(-1).repeat(1, 1, spelling.size).view(-1, spelling.experts)
    return choice.masked_fill(~(wide > 0.5), spelling.fill), mask


def _negative_ones(spelling, choice, group_scores, idx):
    mask = torch.zeros_like(group_scores).scatter_(-1, idx, -1.0)
    wide = mask.unsqueeze(-1).expand(-1, -1, spelling.size).reshape(-1, spelling.experts)
    return choice.masked_fill(wide >= 0, spelling.fill), mask


def _source(spelling, choice, group_scores, idx):
    mask = torch.zeros_like(group_scores).scatter_(1, idx, torch.ones_like(idx, dtype=group_scores.dtype))
    wide = mask.unsqueeze(-1).expand(-1, -1, spelling.size).reshape(-1, spelling.experts)
    return choice.masked_fill(torch.logical_not(wide), spelling.fill), mask


def _greater(spelling, choice, group_scores, idx):
    mask = torch.zeros_like(group_scores).scatter_(1, idx, 1.0)
    wide = mask.unsqueeze(-1).expand(-1, -1, spelling.size).reshape(-1, spelling.experts)
    return torch.where(wide > 0, choice, spelling.fill), mask


def _one_hot(spelling, choice, group_scores, idx):
    if has("one_hot in traces"):
        mask = functional.one_hot(idx, spelling.groups).sum(dim=1)
    else:  # what the others trace it to
        mask = (idx.unsqueeze(-1) == torch.arange(spelling.groups)).long().sum(dim=1)
    wide = mask.unsqueeze(-1).expand(-1, -1, spelling.size).reshape(-1, spelling.experts)
    return choice.masked_fill(wide == 0, spelling.fill), mask


def _compared(spelling, choice, group_scores, idx):
    groups = torch.arange(spelling.groups, device=choice.device)
    mask = (groups[None, :, None] == idx[:, None, :]).any(-1)
    return choice.masked_fill(~mask.repeat_interleave(spelling.size, dim=1), spelling.fill), mask


def _multiplied(spelling, choice, group_scores, idx):
    mask = torch.zeros_like(group_scores).scatter_(1, idx, 1.0).unsqueeze(-1)
    return (choice.view(-1, spelling.groups, spelling.size) * mask).flatten(1), mask


MASKED = dict(
    zip(
        MASKS,
        (
            *(expanded, _ones_bool, _where, _where_other, _full, _equal_to_zero, _one_minus, _repeated),
            *(_negative_ones, _source, _greater, _one_hot, _compared, _multiplied),
        ),
        strict=True,
    )
)
