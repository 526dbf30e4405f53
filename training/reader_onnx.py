"""Export the trained reader to one int8 ONNX file, check it and evaluate it.

    python -m training.reader_onnx export --weights ../cache/reader/final.pt
    python -m training.reader_onnx check --weights ../cache/reader/final.pt
    python -m training.reader_onnx evaluate
    python -m training.reader_onnx restore

`export` writes `reader.onnx` and `reader_vocabulary.txt` to the folder, `check` compares the
file with torch, span by span and in time, and `evaluate` measures it on CMRC 2018's
development half and on the tuning articles held out. Without `final.pt`, `checkpoint.pt` of
a training that still runs will do. `restore` is the way back: it writes `start.pt` and
`vocabulary.txt` from the files that ship, for a further training to begin with.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from torch.nn import functional

from rag.reader_tokens import Vocabulary
from rag.trained_reader import opened
from training.material import (
    Window,
    passages,
    read_squad,
    read_tuning,
    sample,
    window,
)
from training.reader import Predict, collate, evaluate, predictor, read_windows
from training.reader_model import HEADS, INNER, LAYERS, WIDTH, Layer, Reader

OPSET = 17
APART = 48
"""Channels of an inner layer that stay fp32, or are spread, for their size."""


class _Attention(torch.autograd.Function):
    """Attention of many heads, in the file one operator of onnxruntime's own."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor
    ) -> Tensor:
        heads = [x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (query, key, value)]
        seen = mask[:, None, None, :].bool()
        mixed = functional.scaled_dot_product_attention(*heads, attn_mask=seen)
        return mixed.transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
        missing = g.op("prim::Constant")
        missing.setType(torch._C.NoneType.get())
        mixed = g.op(
            "com.microsoft::MultiHeadAttention",
            *(query, key, value, missing, mask),
            num_heads_i=HEADS,
        )
        mixed.setType(query.type())
        return mixed


class _Spread(nn.Module):
    """A linear layer whose largest inputs are spread over several columns.

    A few channels are up to a hundred times as large as the rest; with one scale for all of
    them the rest would be rounded away. A channel in k columns is a k-th as large in each.
    """

    columns: Tensor
    share: Tensor

    def __init__(self, whole: nn.Linear, largest: Tensor) -> None:
        super().__init__()
        copies = torch.ones_like(largest)
        for _ in range(APART):
            copies[(largest / copies).argmax()] += 1
        columns = torch.arange(len(largest)).repeat_interleave(copies.long())
        self.register_buffer("columns", columns)
        self.register_buffer("share", 1 / copies[columns])
        self.main = nn.Linear(len(columns), whole.out_features)
        self.main.weight.data = whole.weight.detach()[:, columns].clone()
        self.main.bias.data = whole.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x[..., self.columns] * self.share)


class Int8Layer(nn.Module):
    """A layer of the reader or the embedder, made fit for int8."""

    def __init__(self, layer: Layer, widened: Tensor, narrowed: Tensor) -> None:
        super().__init__()
        self.attend, self.project, self.attend_norm = layer.attend, layer.project, layer.attend_norm
        self.norm = layer.norm
        apart = narrowed.topk(APART).indices.sort().values
        self.side_widen = nn.Linear(WIDTH, APART)
        self.side_widen.weight.data = layer.widen.weight.detach()[apart].clone()
        self.side_widen.bias.data = layer.widen.bias.detach()[apart].clone()
        self.side_narrow = nn.Linear(APART, WIDTH, bias=False)
        self.side_narrow.weight.data = layer.narrow.weight.detach()[:, apart].clone()
        layer.widen.weight.data[apart] = 0
        layer.widen.bias.data[apart] = 0
        layer.narrow.weight.data[:, apart] = 0
        self.widen, self.narrow = _Spread(layer.widen, widened), layer.narrow

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = self.attend(x).split(WIDTH, -1)
        mixed = _Attention.apply(query, key, value, mask)
        x = self.attend_norm(x + self.project(mixed))
        aside = x + self.side_narrow(functional.gelu(self.side_widen(x)))
        return self.norm(aside + self.narrow(functional.gelu(self.widen(x))))


class _Bytes(nn.Module):
    """An embedding in int8, each row with a scale of its own."""

    weight: Tensor
    scale: Tensor

    def __init__(self, whole: nn.Embedding) -> None:
        super().__init__()
        rows = whole.weight.detach()
        scale = rows.abs().amax(1, keepdim=True).clamp_min(1e-6) / 127
        self.register_buffer("weight", (rows / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        return self.weight[ids].float() * self.scale[ids]


class _Exported(nn.Module):
    """The reader as the file has it: the same function but for rounding."""

    def __init__(self, model: Reader, windows: Sequence[Window]) -> None:
        super().__init__()
        sizes = largest_inputs(model, windows)
        self.words, self.positions = _Bytes(model.words), model.positions
        self.norm, self.head = model.norm, model.head
        self.layers = nn.ModuleList(
            Int8Layer(layer, sizes[layer.widen], sizes[layer.narrow]) for layer in model.inner()
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(self.words(input_ids) + self.positions.weight[: input_ids.shape[1]])
        mask = attention_mask.int()
        for layer in self.layers:
            x = layer(x, mask)
        logits = self.head(x)
        return logits[..., 0], logits[..., 1]


def largest_inputs(model: Reader, windows: Sequence[Window]) -> dict[nn.Module, Tensor]:
    """Return how large each input channel of the inner layers becomes over the windows."""
    largest: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        largest[module] = inputs[0].abs().flatten(0, -2).amax(0)

    inner = [module for layer in model.inner() for module in (layer.widen, layer.narrow)]
    handles = [module.register_forward_hook(note) for module in inner]
    batch = collate(windows)
    with torch.no_grad():
        model(batch.ids, batch.mask)
    for handle in handles:
        handle.remove()
    return largest


def load(weights: Path, vocabulary: Vocabulary) -> Reader:
    """Return the reader with the weights of `final.pt` or of a checkpoint."""
    state: dict[str, Any] = torch.load(weights, map_location="cpu")
    model = Reader(len(vocabulary))
    model.load_state_dict(state.get("model", state))
    return model.eval()


def export(weights: Path, folder: Path, data: Path) -> None:
    """Write `reader.onnx`, quantised to int8, and `reader_vocabulary.txt`."""
    vocabulary = Vocabulary(folder / "vocabulary.txt")
    calibration = _own_passages(vocabulary, data / "cmrc2018" / "train.json.gz", 24)
    model = _Exported(load(weights, vocabulary), calibration).eval()
    ids = torch.randint(5, len(vocabulary), (2, 24))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    write_int8(model, inputs, ("start", "end"), folder / "reader.onnx")
    shutil.copyfile(folder / "vocabulary.txt", folder / "reader_vocabulary.txt")
    size = (folder / "reader.onnx").stat().st_size
    print(f"reader.onnx: {size / 1e6:.1f} MB")


def write_int8(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    *,
    reduce_range: bool = False,
) -> None:
    """Write the model as ONNX, its products in int8 but those named "side" or "head".

    The inputs, by name, are an example of shape `(batch, length)`. `reduce_range` keeps a
    weight to 7 bits, with which processors that have no VNNI add up without an overflow.
    """
    axes = {0: "batch", 1: "length"}
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        plain, small = Path(temporary) / "plain.onnx", Path(temporary) / "small.onnx"
        torch.onnx.export(
            model,
            tuple(inputs.values()),
            str(plain),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=dict.fromkeys((*inputs, *outputs), axes),
            opset_version=OPSET,
            dynamo=False,
        )
        nodes = [node.name for node in onnx.load(plain).graph.node if node.op_type == "MatMul"]
        quantize_dynamic(
            plain,
            small,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=[name for name in nodes if "side" in name or "head" in name],
            per_channel=True,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        small.replace(path)


def restore(folder: Path) -> None:
    """Write `start.pt` and `vocabulary.txt` from the shipped files: the way back of `export`."""
    shipped = Path(__file__).parent.parent / "rag"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shipped / "reader_vocabulary.txt", folder / "vocabulary.txt")
    graph = onnx.load(shipped / "reader.onnx").graph
    values = {each.name: _array(each) for each in graph.initializer}
    names = ("positions.weight", "norm.weight", "norm.bias", "head.bias")
    state = {name: values[name] for name in names}
    state["words.weight"] = values["words.weight"].float() * values["words.scale"]
    products: dict[tuple[int, ...], list[Tensor]] = {}  # by shape, each from the first layer on
    for weight in (_weight(node, values) for node in graph.node if "MatMul" in node.op_type):
        if weight is not None:
            products.setdefault(tuple(weight.shape), []).append(weight)
    (state["head.weight"],) = products.pop((2, WIDTH))
    for i in range(LAYERS):
        parts = {shape: weights[i] for shape, weights in products.items()}
        state |= {f"layers.{i}.{name}": x for name, x in _layer(i, parts, values).items()}
    model = Reader(len(Vocabulary(folder / "vocabulary.txt")))
    model.load_state_dict(state)
    torch.save(state, folder / "start.pt")


def _array(stored: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(onnx.numpy_helper.to_array(stored).copy())


def _weight(node: onnx.NodeProto, values: dict[str, Tensor]) -> Tensor | None:
    """Return the weight `(out, in)` of a product with one, None of any other node."""
    weight = values.get(node.input[1])
    if weight is None:
        return None
    if weight.dtype == torch.int8:
        weight = weight.float() * values[node.input[1].replace("_quantized", "_scale")]
    return weight.T.contiguous()


def _layer(
    i: int, parts: dict[tuple[int, ...], Tensor], values: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Undo `Int8Layer`: what was taken aside or spread comes back to its place."""
    spread, narrow = parts[INNER, WIDTH + APART], parts[WIDTH, INNER]

    def stored(name: str) -> Tensor:
        return values[f"layers.{i}.{name}"]

    widen = torch.zeros(INNER, WIDTH)
    widen.index_add_(1, stored("widen.columns"), spread * stored("widen.share"))
    widen_bias = stored("widen.main.bias").clone()
    apart = (widen.abs().amax(1) + narrow.abs().amax(0)).topk(APART, largest=False).indices
    apart = apart.sort().values
    widen[apart], widen_bias[apart] = parts[APART, WIDTH], stored("side_widen.bias")
    narrow[:, apart] = parts[WIDTH, APART]
    same = [
        f"{name}.{part}"
        for name, kinds in (
            ("attend", ("bias",)),
            ("project", ("bias",)),
            ("attend_norm", ("weight", "bias")),
            ("norm", ("weight", "bias")),
            ("narrow", ("bias",)),
        )
        for part in kinds
    ]
    return {name: stored(name) for name in same} | {
        "attend.weight": parts[3 * WIDTH, WIDTH],
        "project.weight": parts[WIDTH, WIDTH],
        "widen.weight": widen,
        "widen.bias": widen_bias,
        "narrow.weight": narrow,
    }


def onnx_predictor(path: Path, threads: int) -> Predict:
    """Return a function that runs the file."""
    session = opened(path, threads)

    def predict(
        ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        starts, ends = session.run(["start", "end"], {"input_ids": ids, "attention_mask": mask})
        return np.asarray(starts), np.asarray(ends)

    return predict


def _own_passages(vocabulary: Vocabulary, path: Path, count: int) -> list[Window]:
    """Return `count` questions, each with the passage that answers it."""
    windows: list[Window] = []
    for question in sample(read_squad(path), count):
        for passage in passages(question.document):
            overlap = any(s < passage.end and passage.start < e for s, e in question.places)
            made = window(vocabulary, question.text, passage.heading, passage.text)
            if overlap and made:
                windows.append(made)
                break
    return windows


def check(weights: Path, folder: Path, data: Path, threads: int) -> None:
    """Compare the file with torch in fp32: spans of 100 questions, scores, time a window."""
    vocabulary = Vocabulary(folder / "vocabulary.txt")
    windows = _own_passages(vocabulary, data / "cmrc2018" / "dev-half.json.gz", 100)
    torch.set_num_threads(threads)
    theirs = predictor(load(weights, vocabulary))
    ours = onnx_predictor(folder / "reader.onnx", threads)
    expected, found = read_windows(theirs, windows), read_windows(ours, windows)
    same = [a.start == b.start and a.end == b.end for a, b in zip(expected, found, strict=True)]
    apart = [abs(a.score - b.score) for a, b in zip(expected, found, strict=True)]
    print(f"same span in {np.mean(same):.3f} of {len(same)}, score off by {np.mean(apart):.3f}")
    for length, count in ((230, 1), (230, 5)):
        ids = collate([Window((0, *range(5, length + 3), 2), 20)] * count).ids.numpy()
        torch_time = _seconds(theirs, ids)
        file_time = _seconds(ours, ids)
        print(
            f"{count} x {length} tokens, {threads} threads: torch fp32 {torch_time * 1000:.0f} ms,"
            f" int8 {file_time * 1000:.0f} ms, ratio {torch_time / file_time:.2f}"
        )


def _seconds(predict: Predict, ids: NDArray[np.int64]) -> float:
    """Return the least seconds that one call takes, as other processes are about."""
    mask = np.ones_like(ids)
    times: list[float] = []
    for _ in range(12):
        begin = time.perf_counter()
        predict(ids, mask)
        times.append(time.perf_counter() - begin)
    return min(times)


def report(folder: Path, data: Path, threads: int, count: int) -> None:
    """Print the figures of the file on the development half and the articles held out."""
    vocabulary = Vocabulary(folder / "vocabulary.txt")
    predict = onnx_predictor(folder / "reader.onnx", threads)
    development = sample(read_squad(data / "cmrc2018" / "dev-half.json.gz"), count)
    print("CMRC development half", json.dumps(evaluate(predict, vocabulary, development)))
    print("tuning, held out", json.dumps(evaluate(predict, vocabulary, read_tuning()[1])))


def main() -> None:
    """Run the command that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("export", "check", "evaluate", "restore"))
    parser.add_argument("--weights", type=Path, default=Path("../cache/reader/final.pt"))
    parser.add_argument("--folder", type=Path, default=Path("../cache/reader"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--questions", type=int, default=400)
    arguments = parser.parse_args()
    if arguments.command == "export":
        export(arguments.weights, arguments.folder, arguments.data)
    elif arguments.command == "restore":
        restore(arguments.folder)
    elif arguments.command == "check":
        check(arguments.weights, arguments.folder, arguments.data, arguments.threads)
    else:
        report(arguments.folder, arguments.data, arguments.threads, arguments.questions)


if __name__ == "__main__":
    main()
