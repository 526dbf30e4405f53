"""Records of answering: written as JSON and read back as those of `index` are."""

from __future__ import annotations

from typing import ClassVar

from index.errors import BilingualError
from index.records import Record
from rag.errors import AnswerError


class AnswerRecord(Record):
    """A record whose bad data is an error of `rag`."""

    __slots__ = ()
    _unreadable: ClassVar[type[BilingualError]] = AnswerError
