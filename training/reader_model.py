"""The reader's network in torch: what is trained, and what is exported."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, LAYERS, HEADS, INNER, EPSILON = 384, 12, 12, 1536, 1e-12
START, PADDING, END, UNKNOWN = range(4)
DROPOUT = 0.1
MAX_LENGTH = 320
"""Tokens of a window."""
MAX_ANSWER = 80
"""Tokens of an answer."""


def autocast(device: torch.device) -> torch.autocast:
    """Return the context that computes in bf16, but not on a processor that emulates it.

    There a step would take several times as long as in fp32.
    """
    own = device.type != "cpu" or any(
        torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=own)


class Layer(nn.Module):
    """One layer of BERT, layer norms behind."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.Linear(WIDTH, 3 * WIDTH)
        self.project = nn.Linear(WIDTH, WIDTH)
        self.attend_norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.widen = nn.Linear(WIDTH, INNER)
        self.narrow = nn.Linear(INNER, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        batch, length, _ = x.shape
        mixed = self.attend(x).view(batch, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        if x.is_cuda:
            bias = None if bias is None else bias.to(query.dtype)
            heads = functional.scaled_dot_product_attention(query, key, value, bias)
        else:
            # Written out: the fused kernel's backward takes half of a step on the CPU.
            scores = (query * (WIDTH // HEADS) ** -0.5) @ key.transpose(-1, -2)
            if bias is not None:
                scores = scores + bias
            heads = scores.softmax(-1) @ value
        mixed = self.project(heads.transpose(1, 2).reshape(x.shape))
        x = self.attend_norm(x + self.drop(mixed))
        return self.norm(x + self.drop(self.narrow(functional.gelu(self.widen(x)))))


class Reader(nn.Module):
    """multilingual-e5-small with a start and an end logit for every token."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(512, WIDTH)  # the token type 0 is in it
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, 2)

    def embed(self, ids: Tensor) -> Tensor:
        """Return what goes into the first layer, `(b, n, 384)`."""
        places = torch.arange(ids.shape[1], device=ids.device)
        return self.norm(self.words(ids) + self.positions(places))

    def encode(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Return the hidden states `(b, n, 384)`; `mask` is None where nothing is padded."""
        return self.through(self.embed(ids), mask)

    def through(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return what the layers make of the embeddings, `(b, n, 384)` both."""
        bias = None
        if mask is not None:
            bias = (1 - mask[:, None, None, :].to(x.dtype)) * -1e4
        for layer in self.layers:
            x = layer(x, bias)
        return x

    def freeze(self, lowest: int) -> None:
        """Keep that many of the lowest layers as they are, and the embeddings below them."""
        kept = [self.words, self.positions, self.norm, *self.layers[:lowest]] if lowest else []
        for part in kept:
            part.requires_grad_(False)

    def inner(self) -> list[Layer]:
        """Return the layers, in order."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def forward(self, ids: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the start and the end logits, `(b, n)` each."""
        logits = self.head(self.encode(ids, mask))
        return logits[..., 0], logits[..., 1]


def span_loss(starts: Tensor, ends: Tensor, allowed: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return the mean cross-entropy of start and end over the places allowed.

    Logits and `allowed` are `(b, n)`, the right places `(b,)`.
    """
    return (
        functional.cross_entropy(starts.float().masked_fill(~allowed, -1e4), start)
        + functional.cross_entropy(ends.float().masked_fill(~allowed, -1e4), end)
    ) / 2


def adamw(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.AdamW:
    """Return the optimiser of every training; norms and biases do not decay."""
    every = list(parameters)
    groups = [
        {"params": [p for p in every if p.dim() > 1]},
        {"params": [p for p in every if p.dim() == 1], "weight_decay": 0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
