"""The errors of people's ways in; like those of `index` and `rag`, each may be shown."""


class UiError(Exception):
    """Root of all errors that `ui` raises."""


class PageError(UiError):
    """The chat page cannot be served."""


class TooManyPeople(UiError):
    """More people ask at once than may wait."""


class UnknownDocument(UiError):
    """A document is named that the library does not have."""


class FeedbackError(UiError):
    """Feedback cannot be written or read."""


class ReportError(UiError):
    """A report cannot be written."""
