"""Words: how text is cut for exact matching, and the BM25 index over it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from zlib import crc32

import rjieba
import tantivy

from index.errors import LibraryBusy, LibraryCorrupt, LibraryError
from index.fold import fold

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HAN_RUN = re.compile(f"{_HAN.pattern}{{2,}}")

_TOKENIZER = "blanks"
_HEAP_BYTES = 64_000_000
_FOOTER_MAGIC = (1337).to_bytes(4, "little")
_PIECE = 2**22


@dataclass(frozen=True, slots=True)
class Word:
    """A word at `[start, end)` of a text, `text` being that slice; `tag` is jieba's."""

    text: str
    start: int
    end: int
    tag: str


def words(text: str) -> list[str]:
    """Return the folded words of a text in order, without punctuation and blanks."""
    return _words(fold(text).text)


def tokens(text: str) -> list[str]:
    """Return what a text is indexed and searched by: its words, then its pairs of Han characters.

    The pairs find what the dictionary cuts differently in a question and in its source. A
    word of two characters is also its own pair and so counts twice: on passages of 120
    characters of CMRC and DRCD this gave the best MRR@10 of five ways (0.796 and 0.835, with
    each token once 0.776 and 0.823, words alone 0.785 and 0.821).
    """
    folded = fold(text).text
    return [*_words(folded), *_pairs(folded)]


def certain_tokens(word: str) -> list[str]:
    """Return the tokens of every text that holds a word, however the word is cut there.

    Where it has pairs of Han characters these are certain, and its words of other scripts.
    """
    folded = fold(word).text
    pairs = list(_pairs(folded))
    others = [each for each in _words(folded) if not (pairs and _HAN.search(each))]
    return sorted({*pairs, *others})


def _pairs(folded: str) -> Iterator[str]:
    for run in _HAN_RUN.findall(folded):
        yield from (first + second for first, second in pairwise(run))


def tagged(text: str) -> list[Word]:
    """Return every word and sign of a text with its part of speech, blanks left out."""
    folded = fold(text)
    found: list[Word] = []
    position = 0
    for piece, tag in rjieba.tag(folded.text, True):
        start, end = folded.span(position, position + len(piece))
        position += len(piece)
        if not piece.isspace():
            found.append(Word(text[start:end], start, end, tag))
    return found


def _words(folded: str) -> list[str]:
    # Without the hidden Markov model: it joins unknown characters into words of chance.
    return [word for word in rjieba.cut(folded, False) if any(map(str.isalnum, word))]


class WordIndex:
    """A BM25 index (k1 1.2, b 0.75) of passages in a folder, by tantivy.

    Passages are known by integer keys and belong to integer documents, both at least 0.
    Changes are seen after `commit`, in this object at once and in others after `refresh`.
    The folder is locked against other writers from the first change to its commit.
    """

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`, or make an empty one.

        Raises:
            LibraryCorrupt: the files there are damaged or of another format.
            LibraryError: they cannot be read or written.
        """
        self._folder = folder
        self._schema = _schema()
        self._writer: tantivy.IndexWriter | None = None
        with self._translated():
            folder.mkdir(parents=True, exist_ok=True)
            _check_sums(folder)
            self._index = tantivy.Index(self._schema, path=str(folder), reuse=True)
        blanks = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer(_TOKENIZER, blanks)
        self.refresh()

    def refresh(self) -> None:
        """Turn to the newest commit, which another process may have made."""
        with self._translated():
            self._index.reload()
            self._searcher = self._index.searcher()
            self._generation = self._read_generation()

    @property
    def generation(self) -> int:
        """The generation given to the last commit seen, or -1 before the first."""
        return self._generation

    def add(self, passages: Iterable[tuple[int, int, str]]) -> None:
        """Add passages as (key, document, text); a key must not be in the index already.

        Raises:
            LibraryBusy: another process is writing.
            LibraryError: the folder cannot be written, or the disk is full.
        """
        for key, document, text in passages:
            entry = tantivy.Document()
            entry.add_unsigned("key", key)
            entry.add_unsigned("document", document)
            entry.add_text("tokens", " ".join(tokens(text)))
            with self._translated():
                self._open_writer().add_document(entry)

    def remove(self, keys: Collection[int]) -> None:
        """Remove passages by key; keys that are not there are no error.

        Raises:
            LibraryBusy: another process is writing.
            LibraryError: the folder cannot be written, or the disk is full.
        """
        self._delete(tantivy.Query.term_set_query(self._schema, "key", list(keys)))

    def remove_documents(self, documents: Collection[int]) -> None:
        """Remove all passages of some documents.

        Raises:
            LibraryBusy: another process is writing.
            LibraryError: the folder cannot be written, or the disk is full.
        """
        self._delete(tantivy.Query.term_set_query(self._schema, "document", list(documents)))

    def clear(self) -> None:
        """Remove everything, the generation too.

        Raises:
            LibraryBusy: another process is writing.
            LibraryError: the folder cannot be written, or the disk is full.
        """
        with self._translated():
            self._open_writer().delete_all_documents()

    def commit(self, generation: int) -> None:
        """Make all changes since the last commit lasting and visible, at once.

        Raises:
            LibraryBusy: another process is writing.
            LibraryError: the folder cannot be written, or the disk is full.
        """
        self._delete(tantivy.Query.exists_query("generation"))
        with self._translated():
            writer = self._open_writer()
            entry = tantivy.Document()
            entry.add_unsigned("generation", generation)
            writer.add_document(entry)
            writer.commit()
            writer.wait_merging_threads()
            self._writer = None
        self.refresh()

    def search(
        self,
        question: Sequence[str],
        k: int,
        *,
        allow: Collection[int] | None = None,
        deny: Collection[int] = (),
    ) -> list[tuple[int, float]]:
        """Return the best `k` passages for the tokens of a question as (key, BM25 score).

        Only passages of the documents `allow` if given, never of the documents `deny`.
        Best first; equal scores in the order of their keys.
        """
        if not question or k < 1 or (allow is not None and not allow):
            return []
        clauses = [(tantivy.Occur.Must, self._any_of(question))]
        if allow is not None:
            only = tantivy.Query.const_score_query(self._of_documents(allow), 0.0)
            clauses.append((tantivy.Occur.Must, only))
        if deny:
            clauses.append((tantivy.Occur.MustNot, self._of_documents(deny)))
        with self._translated():
            hits = self._searcher.search(tantivy.Query.boolean_query(clauses), k, count=False).hits
            keys = self._searcher.fast_field_values("key", [address for _, address in hits])
        found = [
            (int(key), float(score))
            for key, (score, _) in zip(keys, hits, strict=True)
            if key is not None
        ]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))

    def passage_count(self, word: str) -> int:
        """Return how many passages hold a word, by its characters however they are cut there."""
        needed = certain_tokens(word)
        if not needed:
            return 0
        query = tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, self._term(token)) for token in needed]
        )
        with self._translated():
            # The stub of tantivy 0.27 lacks `count`.
            return self._searcher.search(query, 1).count  # pyright: ignore[reportAttributeAccessIssue]

    def close(self) -> None:
        """Give up what is not committed, and the lock."""
        self._writer = None

    def __enter__(self) -> WordIndex:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_writer(self) -> tantivy.IndexWriter:
        if not self._writer:
            # One thread keeps the order of passages, and so of equal scores, the same.
            self._writer = self._index.writer(_HEAP_BYTES, 1)
        return self._writer

    def _delete(self, query: tantivy.Query) -> None:
        # By query: deletion by term silently does nothing on unsigned fields.
        with self._translated():
            self._open_writer().delete_documents_by_query(query)

    def _term(self, token: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, "tokens", token, "freq")

    def _any_of(self, question: Sequence[str]) -> tantivy.Query:
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Should, self._term(token)) for token in question]
        )

    def _of_documents(self, documents: Collection[int]) -> tantivy.Query:
        return tantivy.Query.term_set_query(self._schema, "document", list(documents))

    def _read_generation(self) -> int:
        hits = self._searcher.search(tantivy.Query.exists_query("generation"), 1).hits
        values = self._searcher.fast_field_values("generation", [address for _, address in hits])
        return int(values[0]) if values and values[0] is not None else -1

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn tantivy's errors into ours."""
        try:
            yield
        except BaseException as error:
            # A panic in Rust is no Exception, and its class cannot be imported.
            panic = type(error).__name__ == "PanicException"
            if not (panic or isinstance(error, (ValueError, KeyError, TypeError, OSError))):
                raise
            if "LockBusy" in str(error):
                raise LibraryBusy(
                    f"另一个进程正在写入 {self._folder}。请等它完成后再试。",
                    f"Another process is writing to {self._folder}. Try again when it is done.",
                ) from error
            if isinstance(error, OSError) or re.search(r"os error|\bOs \{", str(error)):
                raise LibraryError(
                    f"无法读写词索引 {self._folder}：{error}。请检查磁盘空间和文件夹的权限。",
                    f"The word index {self._folder} cannot be read or written: {error}. Check "
                    "the free space and the folder's permissions.",
                ) from error
            raise _unusable(self._folder, str(error), str(error)) from error


def _check_sums(folder: Path) -> None:
    """Compare the committed files with the checksums in their footers.

    tantivy does not by itself, and a damaged one can make it take all memory.

    Raises:
        LibraryCorrupt: a file is damaged.
    """
    meta = folder / "meta.json"
    if not meta.exists():
        return
    for segment in json.loads(meta.read_bytes())["segments"]:
        name = segment["segment_id"].replace("-", "")
        deletes = segment.get("deletes") or {}
        for path in sorted(folder.glob(f"{name}.*")):
            # A writer beside us may be half-way through new deletions, or be tidying up.
            if path.suffix != ".del" or path.name == f"{name}.{deletes.get('opstamp')}.del":
                with suppress(FileNotFoundError):
                    _check_sum(path)


def _check_sum(path: Path) -> None:
    """Check one file: its body, a JSON footer, the footer's length and a magic number."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        end = file.read(8)
        body = size - 8 - int.from_bytes(end[:4], "little")
        if end[4:] != _FOOTER_MAGIC or body < 0:
            raise _unusable(path, "文件不完整", "the file is cut short")
        file.seek(body)
        try:
            expected = json.loads(file.read()[:-8])["crc"]
        except (ValueError, KeyError, TypeError) as error:
            raise _unusable(path, "文件的结尾已损坏", "the file's end is damaged") from error
        file.seek(0)
        checksum = 0
        for start in range(0, body, _PIECE):
            checksum = crc32(file.read(min(_PIECE, body - start)), checksum)
    if expected != checksum:
        raise _unusable(path, "校验和不符", "its checksum is wrong")


def _unusable(path: Path, chinese: str, english: str) -> LibraryCorrupt:
    return LibraryCorrupt(
        f"无法使用词索引 {path}：{chinese}。请运行 wenju rebuild 重建。",
        f"The word index {path} cannot be used: {english}. Run `wenju rebuild` to make it anew.",
    )


def _schema() -> tantivy.Schema:
    return (
        tantivy.SchemaBuilder()
        .add_unsigned_field("key", indexed=True, fast=True)
        .add_unsigned_field("document", indexed=True, fast=True)
        .add_unsigned_field("generation", indexed=True, fast=True)
        .add_text_field("tokens", tokenizer_name=_TOKENIZER, index_option="freq")
        .build()
    )
