"""The file that ships computes what its weights say, on a processor of any kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rag.reader_tokens import Vocabulary
from rag.trained_reader import MODEL
from training.material import Window, passages, window
from training.reader import predictor, read_windows
from training.reader_onnx import load, onnx_predictor, restore

ROOT = Path(__file__).parent.parent
QUESTIONS = (
    "企业开办时间压缩到几天？",
    "教育小镇总投资多少？",
    "教育小镇占地多少亩？",
    "2022年世界杯冠军是哪个队？",
)

SAID = ("3个工作日", "教育小镇")


def windows(vocabulary: Vocabulary) -> list[Window]:
    """Each question with the passage that answers the first ones and with others."""
    article = (ROOT / "seeds" / "article.txt").read_text("utf-8")
    texts = sorted(passages(article), key=lambda p: not any(w in p.text for w in SAID))[:4]
    made = [window(vocabulary, q, p.heading, p.text) for q in QUESTIONS for p in texts]
    return [each for each in made if each]


def test_the_weights_come_back_and_read_as_the_file_does(tmp_path: Path) -> None:
    """Where int8 overflows, as it can without VNNI, these scores are off by one on average."""
    restore(tmp_path)
    vocabulary = Vocabulary(tmp_path / "vocabulary.txt")
    asked = windows(vocabulary)
    assert len(asked) == 16
    torch.set_num_threads(1)  # beside busy processes, several wait for each other
    exact = read_windows(predictor(load(tmp_path / "start.pt", vocabulary)), asked)
    found = read_windows(onnx_predictor(ROOT / "rag" / MODEL, 1), asked)
    apart = [abs(a.score - b.score) for a, b in zip(exact, found, strict=True)]
    assert np.mean(apart) < 0.5
    answered = [(a, b) for a, b in zip(exact, found, strict=True) if a.score > 0]
    assert answered
    assert all(a[1:] == b[1:] for a, b in answered)
