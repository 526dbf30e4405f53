"""Every message in one language: Chinese, or English where WENJU_LANG is "en"."""

from __future__ import annotations

from rag.settings import language


def say(chinese: str, english: str) -> str:
    """Return the message in the reader's language."""
    return english if language() == "en" else chinese
