"""What the reader is trained on, and which of its layers learn."""

from __future__ import annotations

import pytest
import torch
from asking import document

from index.passages import Passage, split_document
from training.material import Question, is_foreign
from training.reader_model import Reader

LEASE = "租金按季度支付，逾期超过30日的，出租人可以解除合同。"
PERMIT = "办理居住证须有6个月以上的备案租赁合同，登记满半年后申请。"


def passage(text: str) -> Passage:
    (only,) = split_document(document(text))
    return only


@pytest.mark.parametrize(
    ("asked", "foreign"),
    [
        ("租金拖多久，出租人能解除合同", True),
        ("合同几时能解除", False),
        ("拖多久", False),
        ("租金按什么交", True),
    ],
)
def test_a_passage_is_foreign_that_lacks_what_the_question_names(asked: str, foreign: bool) -> None:
    question = Question(asked, LEASE, ((13, 16),), ("30日",))
    assert is_foreign(question, passage(PERMIT)) is foreign
    assert not is_foreign(question, passage(LEASE))


def test_a_heading_names_what_a_passage_is_about() -> None:
    question = Question("租金拖多久", LEASE, (), ())
    assert is_foreign(question, passage(PERMIT))
    assert not is_foreign(question, passage(f"# 租金\n\n{PERMIT}"))


@pytest.mark.parametrize("lowest", [0, 5])
def test_the_lowest_layers_stay_as_they_are(lowest: int) -> None:
    model = Reader(40)
    model.freeze(lowest)
    starts, ends = model(torch.tensor([[0, 7, 8, 2]]), None)
    (starts.sum() + ends.sum()).backward()
    learning = {name for name, each in model.named_parameters() if each.grad is not None}
    layers = {int(name.split(".")[1]) for name in learning if name.startswith("layers.")}
    assert layers == set(range(lowest, 12))
    assert ("words.weight" in learning) is (lowest == 0)
    assert "head.weight" in learning
