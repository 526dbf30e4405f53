"""The argument parser's own words, help and complaints, in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from rag.settings import language
from ui.language import say

_HELP_WORDS = {
    r"^Usage: ": "用法：",
    r"^Arguments:$": "参数：",
    r"^Options:$": "选项：",
    r"^Commands:$": "命令：",
    r"\[OPTIONS\]": "[选项]",
    r"COMMAND \[ARGS\]\.\.\.": "命令 [参数]...",
    r"\[required\]": "[必填]",
    r"\[default: ": "[默认：",
    r"Show this message and exit\.": "显示这段说明",
    r"Install completion for the\s+current shell\.": "为当前 shell 安装补全",
    r"Show completion for the\s+current shell,\s+to copy it or\s+customize the installation\.": (
        "显示补全脚本，供复制或修改"
    ),
}
_REASONS = {
    r"greater than or equal to (\S+)": "应不小于 {}",
    r"less than or equal to (\S+)": "应不大于 {}",
    r"valid integer": "应为整数",
    r"valid number": "应为数",
}
_COMPLAINTS = {
    r"^No such command '(.*)'": "没有 {} 这个命令",
    r"^Got unexpected .*? \((.*)\)": "多出了参数 {}",
    r"^Option '(.*)' requires": "{} 后面缺少值",
    r"^Option '(.*)' does not take a value": "{} 不带值",
}


class Command(TyperCommand):
    """A command whose help is in the reader's language throughout."""

    def get_help(self, ctx: Any) -> str:
        """Return the help text."""
        return _help_in_language(super().get_help(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        with _named(ctx):
            return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A group of commands whose help is in the reader's language throughout."""

    def get_help(self, ctx: Any) -> str:
        """Return the help text."""
        return _help_in_language(super().get_help(ctx))


@contextmanager
def _named(ctx: Any) -> Iterator[None]:
    """Let what is wrong name its command: where an option's value is, the parser does not."""
    try:
        yield
    except TyperException as error:
        if getattr(error, "ctx", None) is None:
            error.ctx = ctx  # pyright: ignore[reportAttributeAccessIssue]
        raise


def usage_message(error: TyperException) -> str:
    """Return in one sentence what was wrong with the arguments, and where to look."""
    command = getattr(getattr(error, "ctx", None), "command_path", "wenju")
    return say(
        f"{_in_chinese(error)}。用法见 {command} --help。",
        f"{error.format_message().rstrip('.')}. See {command} --help.",
    )


def _help_in_language(text: str) -> str:
    if language() == "en":
        return text
    for pattern, words in _HELP_WORDS.items():
        text = re.sub(pattern, words, text, flags=re.MULTILINE)
    return text


def _in_chinese(error: TyperException) -> str:
    match type(error).__name__:
        case "NoSuchOption":
            near = getattr(error, "possibilities", None) or ()
            hint = f"；您要的是不是 {'、'.join(sorted(near))}" if near else ""
            return f"没有 {getattr(error, 'option_name', '')} 这个选项{hint}"
        case "MissingParameter":
            return f"缺少 {_parameter(error)}"
        case "BadParameter":
            reason = _found(_REASONS, error.message) or error.message
            return f"{_parameter(error)} 的值不能用：{reason}"
    return _found(_COMPLAINTS, error.message) or f"用法不对：{error.message.rstrip('.')}"


def _parameter(error: TyperException) -> str:
    """Return the parameter as it is typed: --option, or the name of an argument."""
    parameter = getattr(error, "param", None)
    hint = getattr(error, "param_hint", None) or (parameter and parameter.get_error_hint())
    return str(hint or "").strip("'")


def _found(chinese: Mapping[str, str], message: str) -> str | None:
    for pattern, words in chinese.items():
        if match := re.search(pattern, message, re.DOTALL):
            return words.format(*match.groups())
    return None
