"""The errors of people's ways in; like those of `index` and `rag`, each may be shown."""


class UiError(Exception):
    """Root of all errors that `ui` raises."""


class PageError(UiError):
    """The chat page cannot be served."""


class ReportError(UiError):
    """A report cannot be written."""
