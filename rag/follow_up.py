"""Follow-up questions completed from the turns before them, without a language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, in the shape of OpenAI's."""

    role: Literal["user", "assistant"]
    content: str
