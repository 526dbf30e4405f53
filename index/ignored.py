"""Ignore rules: which files of a folder its .gitignore and .wenjuignore leave out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

RULE_FILES = (".gitignore", ".wenjuignore")


class Ignored:
    """The rules of a folder and those below it, as Git reads them: the innermost decide."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules: dict[Path, GitIgnoreSpec] = {}

    def enter(self, folder: Path) -> list[OSError]:
        """Read the rules of a folder, before anything in it is asked about.

        Those that are none, such as a lone "!", are passed over, as Git does. Return why some
        cannot be read.
        """
        lines: list[str] = []
        unread: list[OSError] = []
        for name in RULE_FILES:
            rules = folder / name
            try:
                if rules.is_file():
                    lines += rules.read_text("utf-8", errors="replace").splitlines()
            except OSError as error:
                unread.append(error)
        if lines:
            from pathspec import GitIgnoreSpec  # noqa: PLC0415 - asking a question needs none

            self._rules[folder] = GitIgnoreSpec.from_lines(filter(_is_rule, lines))
        return unread

    def file(self, path: Path) -> bool:
        """Tell whether a file is left out."""
        return self._ignored(path, "")

    def folder(self, path: Path) -> bool:
        """Tell whether a folder is left out, with all in it."""
        return self._ignored(path, "/")

    def _ignored(self, path: Path, end: str) -> bool:
        for folder in path.parents:
            if rules := self._rules.get(folder):
                found = rules.check_file(path.relative_to(folder).as_posix() + end)
                if found.include is not None:
                    return found.include
            if folder == self._root:
                break
        return False


def _is_rule(line: str) -> bool:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - asking a question needs none

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
