"""What is packed for a GPU is what is learnt there, and what is learnt comes back whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rag.reader_tokens import Vocabulary
from training import reader_gpu
from training.material import Question, Window, passages
from training.reader_gpu import Learner, Look, learn_characters, learn_reading, look, unpack
from training.reader_model import Reader

CPU = torch.device("cpu")
VOCABULARY = Path(__file__).parent.parent / "rag" / "reader_vocabulary.txt"
SMALL = 60


def windows_of(count: int) -> list[Window]:
    """Questions of one token whose answer is the token behind its double in the passage."""
    rng = np.random.default_rng(1)
    made: list[Window] = []
    for _ in range(count):
        body = rng.permutation(np.arange(10, 40))[:9].tolist()
        at = int(rng.integers(0, 8))
        made.append(Window((0, body[at], 2, 2, *body, 2), 4, 5 + at, 5 + at))
    return made


def test_weights_come_back_as_fine_as_a_row_of_int8_is() -> None:
    model = Reader(120)
    state = model.state_dict()
    back = reader_gpu._whole(reader_gpu._small(state))
    assert back.keys() == state.keys()
    for name, weight in state.items():
        step = weight.abs().amax(-1, keepdim=True) / 127
        assert bool(((back[name] - weight).abs() <= step * 0.51 + 1e-7).all()), name


def test_windows_travel_as_one_array(tmp_path: Path) -> None:
    made = [Window((0, 7, 2, 2, 8, 9, 2), 4, 5, 5), Window((0, 7, 2, 2, 8, 2), 4)]
    reader_gpu._save(tmp_path / "w.xz", reader_gpu._windows(made))
    there = reader_gpu._on(CPU, reader_gpu._load(tmp_path / "w.xz"))
    batch = reader_gpu._batch(there, np.array([1, 0]))
    assert batch.ids[0, :6].tolist() == [0, 7, 2, 2, 8, 2]
    assert batch.open[0].nonzero().flatten().tolist() == [0, 4]
    assert batch.open[1].nonzero().flatten().tolist() == [0, 4, 5]
    assert batch.mask.sum(1).tolist() == [6, 7]
    assert batch.starts.tolist() == [0, 5]


def test_an_answer_is_known_by_its_place_in_its_window() -> None:
    vocabulary = Vocabulary(VOCABULARY)
    text = "淮北市教育小镇计划总投资约100亿元，由港利集团投资建设。" * 12
    start = text.rfind("港利集团")
    question = Question("谁来投资？", text, ((start, start + 4),), ("港利集团",))
    windows, owners, golds = reader_gpu._asked(vocabulary, [question])
    assert len(windows) == len(passages(text)) > 1
    assert owners == [0] * len(windows)
    ((owner, number, first, last),) = golds
    answer = windows[number].ids[first : last + 1]
    assert owner == 0
    assert list(answer) == vocabulary.ids("港利集团")


def test_reading_is_learnt_and_written_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # beside busy processes, several wait for each other
    # By steps, not by the clock: a busy machine would not get anywhere in a second.
    monkeypatch.setattr(Learner, "fraction", lambda self: self.steps / 5)
    for name in ("MASKED_BATCH", "MASKED_LENGTH", "READ_BATCH"):
        monkeypatch.setattr(reader_gpu, name, 8)
    model = Reader(SMALL)
    texts = torch.randint(10, 40, (4000,), dtype=torch.int16)
    learn_characters(model, texts, seconds=1)
    made = reader_gpu._on(CPU, reader_gpu._windows(windows_of(256)))
    before = [p.detach().clone() for p in model.parameters()]
    state = learn_reading(model, made, [np.arange(256)], seed=0, seconds=1)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))

    reader_gpu._write(state, tmp_path)
    unpack(tmp_path, tmp_path)
    again = Reader(SMALL)
    again.load_state_dict(torch.load(tmp_path / "final.pt"))
    for name, weight in again.state_dict().items():
        assert torch.allclose(weight, state[name], rtol=1e-3, atol=1e-4), name


def test_what_is_looked_at_is_counted_by_question() -> None:
    model = Reader(SMALL)
    made = windows_of(6)
    golds = np.array([(i, i, each.start, each.end) for i, each in enumerate(made[:4])])
    table = reader_gpu._on(CPU, reader_gpu._windows(made[:4]))
    absent = reader_gpu._on(CPU, reader_gpu._windows(made[4:]))
    own = Look(table, np.arange(4), golds)
    figures = look(
        model,
        {"cmrc": own, "news": own, "absent": Look(absent, np.arange(2), golds[:0])},
    )
    assert figures["cmrc_em"] == figures["news_em"] <= figures["news_f1"] <= 1
    assert 0 <= figures["absent_auroc"] <= 1


def test_overlap_counts_a_token_as_often_as_both_have_it() -> None:
    assert reader_gpu._overlap([1, 1, 2], [1, 3, 4]) == 2 / 6
    assert reader_gpu._overlap([1, 2], [1, 2]) == 1
