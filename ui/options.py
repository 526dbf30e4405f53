"""The options that several commands share."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from index.milvus_address import FORM
from rag.settings import Settings
from ui.language import say

LibraryOption = Annotated[
    str | None,
    typer.Option(
        "--library",
        metavar="DIR|URL",
        help=say(
            f"资料库所在的文件夹，或 {FORM}；不写则用默认的",
            f"folder of the library, or {FORM}, if not the default",
        ),
    ),
]
EmbedderOption = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        metavar="NAME",
        help=say(
            "sentence-transformers 模型的名称或文件夹；不写则用内置模型",
            "name or folder of a sentence-transformers model, if not the embedded one",
        ),
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help=say("该模型用的设备：cpu、cuda、mps", "device of that model: cpu, cuda, mps"),
    ),
]
DtypeOption = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        metavar="NAME",
        help=say(
            "该模型的数值类型：float32、float16、bfloat16",
            "number type of that model: float32, float16, bfloat16",
        ),
    ),
]
LlmOption = Annotated[
    str | None,
    typer.Option(
        "--llm-base-url",
        metavar="URL",
        help=say(
            "OpenAI 兼容接口的地址，让大模型撰写回答；密钥写在 WENJU_LLM_API_KEY 里",
            "OpenAI-compatible API to write the answers; WENJU_LLM_API_KEY holds its key",
        ),
    ),
]
LlmModelOption = Annotated[
    str | None,
    typer.Option(
        "--llm-model",
        metavar="NAME",
        help=say("该接口上的模型", "the model there"),
    ),
]
StrictFlag = Annotated[
    bool | None,
    typer.Option(
        "--strict/--no-strict",
        help=say(
            "大模型说了原文不支持的话，就改用抽取的回答",
            "extract the answer where the model says what the source does not support",
        ),
    ),
]
ExtractFlag = Annotated[
    bool,
    typer.Option(
        "--extract",
        help=say("只抽取，不用大模型", "extract the answers, with no language model"),
    ),
]
JsonFlag = Annotated[
    bool, typer.Option("--json", help=say("输出 JSON，供程序读取", "print JSON for machines"))
]


def answering_settings(*, extract: bool, **said: Any) -> Settings:
    """Return the settings of the environment and of options, without a model where told so.

    Raises:
        SettingsError: one is unknown or impossible.
    """
    if not extract:
        return Settings.from_environment(**said)
    said = {name: value for name, value in said.items() if not name.startswith("llm_")}
    return without_model(Settings.from_environment(**said))


def without_model(settings: Settings) -> Settings:
    """Return the settings with no language model."""
    return replace(settings, llm_base_url=None, llm_model=None)
