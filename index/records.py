"""Records: values that are written as JSON and read back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import TypeAdapter, ValidationError

from index.errors import BilingualError, RecordError


class Record:
    """A frozen dataclass that JSON holds without loss."""

    __slots__ = ()
    _unreadable: ClassVar[type[BilingualError]] = RecordError

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values that `from_dict` reads back into an equal record."""
        return _adapter(type(self)).dump_python(self, mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            RecordError: the data has another shape; for the records of `rag`, AnswerError.
            DocumentError: it is a document's and no document can be so.
        """
        try:
            return _adapter(cls).validate_python(dict(data))
        except (ValidationError, TypeError, ValueError) as error:
            where = _place(error) if isinstance(error, ValidationError) else ""
            raise cls._unreadable(
                f"这不是 {cls.__name__} 的数据：{where or '整体'}不对。请给出 to_dict 写的内容。",
                f"This is no data of {cls.__name__}: {where or 'all of it'} is wrong. Give what "
                "`to_dict` wrote.",
            ) from error


@cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _place(error: ValidationError) -> str:
    return ".".join(map(str, error.errors()[0]["loc"]))
