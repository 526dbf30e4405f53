"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.language import say

LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library",
        metavar="DIR",
        help=say("资料库所在的文件夹；不写则用默认的", "folder of the library, if not the default"),
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
JsonFlag = Annotated[
    bool, typer.Option("--json", help=say("输出 JSON，供程序读取", "print JSON for machines"))
]
