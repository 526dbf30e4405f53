"""Every message in one language: Chinese, or English where WENJU_LANG is "en"."""

from __future__ import annotations

from index.errors import BilingualError
from rag.settings import language


def say(chinese: str, english: str) -> str:
    """Return the message in the reader's language."""
    return english if language() == "en" else chinese


def error_message(error: Exception) -> str:
    """Return what an error says, in the reader's language if it is one of ours."""
    return say(str(error), error.english) if isinstance(error, BilingualError) else str(error)
