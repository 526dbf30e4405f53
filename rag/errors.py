"""The errors of answering, one tree.

    RagError
    ├── QuestionError     a question that cannot be asked: empty, too long
    ├── AnswerError       data that is no Answer, Claim, Citation or Turn
    ├── ReaderError       the trained reader cannot be loaded
    ├── SettingsError     an unknown or impossible setting
    ├── EndpointError     the language model's server cannot be reached, refuses or misbehaves
    │   └── PromptTooLong   the prompt does not fit into its context
    └── EvaluationError   a question set that cannot be read or used

Every message says what happened, where, and what to do about it, in Chinese and in English.
"""

from index.errors import BilingualError


class RagError(BilingualError):
    """Root of all errors that `rag` raises."""


class QuestionError(RagError):
    """The question cannot be asked."""


class AnswerError(RagError):
    """Data is not what `to_dict` of an Answer, Claim, Citation or Turn wrote."""


class ReaderError(RagError):
    """The trained reader cannot be loaded: its weights are bad, or what runs them is missing."""


class SettingsError(RagError):
    """A setting is unknown or impossible."""


class EndpointError(RagError):
    """The server of the language model cannot be reached, refuses, or answers nonsense."""


class PromptTooLong(EndpointError):
    """The prompt and the answer do not fit together into the model's context."""


class EvaluationError(RagError):
    """A question set cannot be read or used."""
