"""What the reader is trained on: questions over passages as tokens, the answer's place marked.

The questions are those of CMRC 2018's training set, of three quarters of DRCD's development
set, of `training/news`, of `training/documents` and of `training/tuning`.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.documents import Document
from index.fold import fold
from index.passages import Passage, split_document
from index.words import Word, tagged
from rag.follow_up import Turn, readings
from rag.reader_tokens import Vocabulary
from training.headers import made_header
from training.tables import made_table

TUNING = Path(__file__).parent / "tuning"
NEWS = Path(__file__).parent / "news"
DOCUMENTS = Path(__file__).parent / "documents"
HELD_OUT = frozenset((2, 8, 12, *range(14, 93)))
"""Articles of the tuning set, by number, that are never trained on."""
DRCD_HELD_OUT = 4
"""Every fourth article of DRCD's development set is never trained on."""
SIZES = (200, 150, 250)
"""Characters of the passages, pass by pass."""
HEADERS = 600
"""Made-up headers in a pass."""
EVERYDAYS = 4800
"""Windows in a pass that ask a passage one of the everyday questions."""
TABLES = 2400
"""Made-up tables in a pass."""
EVERYDAY = (Path(__file__).parent / "everyday.txt").read_text("utf-8").split("\n")[:-1]
"""Questions that people ask of a chatbot and that no document here answers."""


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
    asked = vocabulary.question_ids(fold(question.strip()).text)
    encoded = vocabulary.encode(asked, heading, text)
    if answer is None:
        return Window(encoded.ids, encoded.first)
    tokens = encoded.tokens(*answer)
    return Window(encoded.ids, encoded.first, *tokens) if tokens else None


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
        self._places: dict[str, list[int]] = {}
        for i, text in enumerate(self._documents):
            self._places.setdefault(text, []).append(i)
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
                for i in self._nearest(row, question.document, own=own):
                    if not any(answer in self.passages[i].text for answer in question.answers):
                        best.append(self.passages[i])
                    if len(best) == count:
                        break
                lists.append(best)
        return lists

    def _nearest(self, row: NDArray[np.float64], document: str, *, own: bool) -> list[int]:
        """Return the passages of this document, or those of others near enough, nearest first."""
        if own:
            return sorted(self._places[document], key=lambda i: -row[i])
        return [int(i) for i in np.argsort(-row)[:400] if self._documents[i] != document]


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


def is_foreign(question: Question, passage: Passage) -> bool:
    """Tell whether the question names something of its document that the passage lacks.

    Where it does not, "咨询找谁", the passage of another document may answer it as well.
    """
    about = passage.heading + passage.text
    nouns = [w.text for w in tagged(question.text) if w.tag[0] == "n" and len(w.text) > 1]
    return any(noun in question.document and noun not in about for noun in nouns)


Asked = tuple[Question, list[Passage]]
"""A question and the likest passages that do not answer it."""


def _similar(questions: Sequence[Question]) -> Similar:
    return Similar(dict.fromkeys(question.document for question in questions))


def _with_similar(questions: Sequence[Question], *, own: bool) -> list[Asked]:
    ranked = _similar(questions).rank(questions, own=own, count=3)
    return list(zip(questions, ranked, strict=True))


def _with_both(questions: Sequence[Question]) -> list[Asked]:
    """Take turns between its own document's likest passages and those of other documents."""
    similar = _similar(questions)
    own, others = (similar.rank(questions, own=own, count=3) for own in (True, False))
    asked: list[Asked] = []
    for question, near, far in zip(questions, own, others, strict=True):
        foreign = [passage for passage in far if is_foreign(question, passage)]
        turns = chain.from_iterable(zip_longest(near, foreign))
        asked.append((question, [passage for passage in turns if passage]))
    return asked


class Material:
    """What is trained on: for every question a positive window and its negatives.

    A pass takes the `latest` questions written for it whole, a share of the squads', CMRC's and
    DRCD's, and of those written earlier, nearly all of them on news, a share that goes for what
    is made up as well.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        data: Path,
        *,
        latest: int = 0,
        squads_share: float = 1.0,
        news_share: float = 1.0,
    ) -> None:
        self._vocabulary = vocabulary
        self._squads_share, self._news_share = squads_share, news_share
        squad = read_squad(data / "cmrc2018" / "train.json.gz")
        squad += read_squad(data / "drcd" / "dev.json.gz", without=DRCD_HELD_OUT)
        news = read_tuning()[0] + read_questions(NEWS)
        documents = read_questions(DOCUMENTS)
        self._names = Names([*squad, *news, *documents])
        self._asked = [
            *_with_similar(squad, own=False),
            *_with_similar(news, own=True),
            *_with_both(documents),
        ]
        """The squads', the earlier news', the latest."""
        self._squads, self._earlier = len(squad), len(self._asked) - latest
        """Where the first end, and the second."""

    def questions(self) -> Iterator[Question]:
        """Yield every question."""
        return (question for question, _ in self._asked)

    def epoch(self, number: int) -> list[Window]:
        """Return a pass: every question of it once, and a negative for half of them.

        From pass to pass the passages are cut to another length, and one window in thirty
        asks a document of something quite else.
        """
        rng = random.Random(number)
        size = SIZES[number % len(SIZES)]
        out: list[Window | None] = []
        squads = _some(self._asked[: self._squads], self._squads_share, rng)
        news = _some(self._asked[self._squads : self._earlier], self._news_share, rng)
        for question, others in (*squads, *news, *self._asked[self._earlier :]):
            if question.places:
                out.append(self._window(question, size, rng))
                if rng.random() < 0.5:
                    out.append(self._negative(question, others, rng))
            elif others:
                passage = others[number % len(others)]
                out.append(self._make(question, passage.heading, passage.text))
        for question, _ in rng.sample(self._asked, len(out) // 30):
            passage = rng.choice(passages(self._document(rng)))
            if not any(answer in passage.text for answer in question.answers):
                out.append(self._make(question, passage.heading, passage.text))
        out += [self._headed(rng) for _ in range(round(HEADERS * self._news_share))]
        out += [self._everyday(rng) for _ in range(round(EVERYDAYS * self._news_share))]
        out += [self._table(rng) for _ in range(round(TABLES * self._news_share))]
        return [each for each in out if each is not None]

    def _document(self, rng: random.Random) -> str:
        return rng.choice(self._asked)[0].document

    def _headed(self, rng: random.Random) -> Window | None:
        """Put a made-up header before the beginning of an article."""
        made = made_header(rng)
        body = self._document(rng)[: rng.randint(0, 150)]
        return window(self._vocabulary, made.question, "", made.text + body, made.place)

    def _table(self, rng: random.Random) -> Window | None:
        made = made_table(rng)
        asked = reworded(made.question, rng)
        return window(self._vocabulary, asked, made.heading, made.text, made.place)

    def _everyday(self, rng: random.Random) -> Window | None:
        """Ask a passage, a made-up header before half of them, what it does not answer."""
        passage = rng.choice(passages(self._document(rng)))
        header = made_header(rng).text if rng.random() < 0.5 else ""
        asked = reworded(rng.choice(EVERYDAY), rng)
        heading = "" if header else passage.heading
        return window(self._vocabulary, asked, heading, header + passage.text)

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


def _some(asked: Sequence[Asked], share: float, rng: random.Random) -> Sequence[Asked]:
    return asked if share == 1 else rng.sample(asked, round(len(asked) * share))


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


def sample(questions: Sequence[Question], count: int) -> list[Question]:
    """Return `count` of the questions, always the same ones."""
    return random.Random(0).sample(list(questions), min(count, len(questions)))
