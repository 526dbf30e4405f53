"""The errors of answering, one tree.

    RagError
    ├── QuestionError     a question that cannot be asked: empty, too long
    ├── ReaderError       the trained reader's weights are missing or broken
    ├── SettingsError     an unknown or impossible setting
    └── EvaluationError   a question set that cannot be read or used

Every message says what happened, where, and what to do about it.
"""


class RagError(Exception):
    """Root of all errors that `rag` raises; its text may be shown to the user."""


class QuestionError(RagError):
    """The question cannot be asked."""


class ReaderError(RagError):
    """The weights of the trained reader are missing or broken."""


class SettingsError(RagError):
    """A setting is unknown or impossible."""


class EvaluationError(RagError):
    """A question set cannot be read or used."""
