"""Embedders: texts and questions as unit vectors of one space."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.errors import EmbedderError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

DEFAULT_EMBEDDER = "multilingual-e5-small-int8"

MODEL = "embedder.onnx"
DATA = "embedder.bin"
TOKENIZER = "embedder_tokenizer.json"
DIGEST = "embedder.sha256"

_MAX_THREADS = 4
_WINDOW = 510
"""Tokens that the model reads at once, but for the one before and the one behind them."""

_UNREADABLE = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}
"""NUL ends a C string, a lone surrogate has no UTF-8: tokenizers can take neither."""

_LOADING_ERRORS = (
    ImportError,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,  # torch, asked for a device that it was not built for
)

_BGE_QUESTION = "为这个句子生成表示以用于检索相关文章："


class Embedder(Protocol):
    """Turns texts into unit vectors whose inner product is their likeness."""

    @property
    def name(self) -> str:
        """What tells this embedder's vectors from those of another."""
        ...

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit vectors of passages or sentences, `(n, d) float32`."""
        ...

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a question, `(d,) float32`."""
        ...


def load_embedder(
    name: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 32,
) -> Embedder:
    """Return the embedder of a name: the embedded one for None or "default".

    Any other name is a sentence-transformers model or the folder of one; `device`, `dtype`
    and `batch_size` are for these alone.

    Raises:
        EmbedderError: the model cannot be loaded.
    """
    if name in (None, "default", DEFAULT_EMBEDDER):
        return E5Embedder()
    return SentenceTransformerEmbedder(name, device=device, dtype=dtype, batch_size=batch_size)


class E5Embedder:
    """multilingual-e5-small in int8, as it ships with wenju: no download, no network.

    The model (55 MB, most of it mapped into memory) is loaded at the first text, once a
    process. A text beyond its 512 tokens is read in windows, their vectors averaged. Texts are
    run one by one, as many at once as there are cores: the vector of one never depends on
    those beside it, and no thread waits for another. Calls may come from several threads.
    """

    _model: _Model | None = None
    _loading = threading.Lock()

    @property
    def name(self) -> str:
        return DEFAULT_EMBEDDER

    @property
    def dimension(self) -> int:
        return 384

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit vectors of passages or sentences, `(n, 384) float32`.

        Raises:
            EmbedderError: the model is missing, broken or does not run here.
        """
        model = self._load()
        prompted = [f"passage: {readable(text)}" for text in texts]
        rows = np.empty((len(texts), self.dimension), np.float32)
        with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
            for row, vector in zip(rows, pool.map(model.vector, prompted), strict=True):
                row[:] = vector
        return rows

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a question, `(384,) float32`.

        Raises:
            EmbedderError: the model is missing, broken or does not run here.
        """
        return self._load().vector(f"query: {readable(text)}")

    @classmethod
    def _load(cls) -> _Model:
        with cls._loading:
            if cls._model is None:
                with resources.as_file(resources.files("index")) as folder:
                    cls._model = _load_model(folder)
            return cls._model


class _Model(NamedTuple):
    """The graph, token ids `(1, n)` to their mean state `(1, 384)`, and its tokenizer."""

    session: InferenceSession
    tokenizer: Tokenizer

    def vector(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a text with its prompt, `(384,) float32`."""
        start, *content, end = self.tokenizer.encode(text).ids
        windows = [content[at : at + _WINDOW] for at in range(0, len(content), _WINDOW)]
        means = [self._mean([start, *window, end]) for window in windows]
        mean = np.average(means, axis=0, weights=[len(window) for window in windows])
        return (mean / np.linalg.norm(mean)).astype(np.float32)

    def _mean(self, ids: Sequence[int]) -> NDArray[np.float32]:
        (means,) = self.session.run(None, {"ids": np.array([ids], np.int64)})
        return np.asarray(means)[0]


def readable(text: str) -> str:
    """Replace what no tokenizer can take, NUL and lone surrogates, by U+FFFD."""
    return text.translate(_UNREADABLE) if "\0" in text or not _is_utf8(text) else text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _load_model(folder: Path) -> _Model:
    try:
        import onnxruntime  # noqa: PLC0415 - takes a moment to load
        from tokenizers import Tokenizer  # noqa: PLC0415

        _check(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # texts, not parts of one, run side by side
        session = onnxruntime.InferenceSession(
            str(folder / MODEL), options, providers=["CPUExecutionProvider"]
        )
        return _Model(session, Tokenizer.from_file(str(folder / TOKENIZER)))
    except Exception as error:  # those of onnxruntime and tokenizers share no class of their own
        raise EmbedderError(
            f"内置向量模型缺失或损坏，无法载入：{folder / MODEL}（{_first_line(error)}）。"
            "请重新安装 wenju，或用 --embedder 指定一个 sentence-transformers 模型。",
            f"The embedded model is missing or damaged and cannot be loaded: {folder / MODEL} "
            f"({_first_line(error)}). Reinstall wenju, or name a sentence-transformers model with "
            "--embedder.",
        ) from error


def _check(folder: Path) -> None:
    """Hold the files against their digests, `DIGEST` being what sha256sum writes.

    Raises:
        OSError: a file is missing.
        ValueError: a file is not what it was.
    """
    lines = (folder / DIGEST).read_text("utf-8").splitlines()
    wanted = {name: digest for digest, name in (line.split() for line in lines)}
    for name in (MODEL, DATA, TOKENIZER):
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != wanted.get(name):
                raise ValueError(f"{name}: sha256")


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, by its name on the hub or its folder.

    Questions and passages get the prompts of the model's own configuration; where it has none,
    those that the e5 and Chinese bge families were trained with.
    """

    def __init__(
        self,
        name_or_folder: str | Path,
        *,
        device: str | None = None,
        batch_size: int = 32,
        dtype: str | None = None,
    ) -> None:
        """Load the model; the import alone takes seconds.

        Args:
            name_or_folder: a name such as "BAAI/bge-m3", or a folder.
            device: "cpu", "cuda", "mps" …; the best there is where None.
            batch_size: texts run at once.
            dtype: "float32", "float16" or "bfloat16"; the model's own where None.

        Raises:
            EmbedderError: the model cannot be found, loaded or put on the device.
        """
        self._name = _full_name(name_or_folder)
        self._batch_size = batch_size
        self._running = threading.Lock()
        self._model = _load_sentence_transformer(self._name, device, dtype)
        self._prompts = _prompts(self._model.prompts, self._name)
        dimension = self._model.get_embedding_dimension()
        self._dimension = dimension or len(self.embed_question("维数"))

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return self._dimension

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit vectors of passages or sentences, `(n, d) float32`.

        Raises:
            EmbedderError: the model fails, out of memory for one.
        """
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        return self._encode(texts, "document")

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a question, `(d,) float32`.

        Raises:
            EmbedderError: the model fails, out of memory for one.
        """
        return self._encode([text], "query")[0]

    def _encode(self, texts: Sequence[str], task: str) -> NDArray[np.float32]:
        encode = self._model.encode_query if task == "query" else self._model.encode_document
        try:
            # One at a time: modules of sentence-transformers keep state while they run.
            with self._running:
                vectors = encode(
                    [readable(text) for text in texts],
                    prompt=self._prompts.get(task),
                    batch_size=self._batch_size,
                    show_progress_bar=False,
                )
        except (RuntimeError, MemoryError) as error:
            raise EmbedderError(
                f"向量模型 {self._name} 运行失败：{_first_line(error)}。"
                "内存或显存不足时请减小 WENJU_BATCH_SIZE，或用 --device cpu。",
                f"The embedder {self._name} failed: {_first_line(error)}. Where memory is short, "
                "lower WENJU_BATCH_SIZE or use --device cpu.",
            ) from error
        vectors = np.asarray(vectors, np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _load_sentence_transformer(
    name: str, device: str | None, dtype: str | None
) -> SentenceTransformer:
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds

        return SentenceTransformer(
            name, device=device, model_kwargs={"dtype": dtype} if dtype else {}
        )
    except _LOADING_ERRORS as error:
        raise EmbedderError(
            f"无法载入向量模型 {name}：{_first_line(error)}。请检查模型名、网络和设备；"
            "没有网络时请先下载模型并写它的文件夹，或不加 --embedder 用内置模型。",
            f"The embedder {name} cannot be loaded: {_first_line(error)}. Check its name, the "
            "network and the device; without a network, download the model first and name its "
            "folder, or leave --embedder out to use the embedded one.",
        ) from error


def _full_name(name_or_folder: str | Path) -> str:
    """Return a folder's whole path, which names it from everywhere, or a name on the hub.

    Raises:
        EmbedderError: it can only be a folder, and there is none.
    """
    name = str(name_or_folder)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if isinstance(name_or_folder, Path) or _looks_like_folder(name):
        raise EmbedderError(
            f"找不到向量模型的文件夹 {name}。请检查路径，"
            "或写一个 Hugging Face 上的模型名，例如 BAAI/bge-m3。",
            f"There is no folder {name} of an embedder. Check the path, or name a model on "
            "Hugging Face, such as BAAI/bge-m3.",
        )
    return name


def _looks_like_folder(name: str) -> bool:
    """Tell a path from a name on the hub, which has one slash at most."""
    return name.startswith((".", "~")) or Path(name).is_absolute() or name.count("/") > 1


def _prompts(configured: Mapping[str, str | None], name: str) -> dict[str, str]:
    """Return the prompts to set ourselves: those of the model's family if it configures none."""
    if any(configured.values()):
        return {}
    model = Path(name).name.lower()
    if "e5" in model.replace("_", "-").split("-") and "instruct" not in model:
        return {"query": "query: ", "document": "passage: "}
    if model.startswith("bge-") and "-zh" in model:
        return {"query": _BGE_QUESTION}
    return {}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
