"""rag: a question answered from a library, with its evidence."""

# Not imported lazily: `rag.answer` is a function here, and would be its module otherwise.
from rag.answer import Answer, Answerer, Chatbot, answer
from rag.citations import Citation, Claim
from rag.errors import EvaluationError, QuestionError, RagError, SettingsError
from rag.follow_up import Turn
from rag.settings import Settings

__all__ = [
    "Answer",
    "Answerer",
    "Chatbot",
    "Citation",
    "Claim",
    "EvaluationError",
    "QuestionError",
    "RagError",
    "Settings",
    "SettingsError",
    "Turn",
    "answer",
]
