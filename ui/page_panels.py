"""The page's own panels: HTML, JavaScript and CSS files made into Gradio components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).with_name("panel")


def panel(name: str, **settings: Any) -> gr.HTML:
    """Return a panel made of its two files; its words are `settings`.

    Its template is filled with the interface's own words and never with text of documents,
    models or readers, which would run there as code.
    """
    return gr.HTML(
        html_template=(FOLDER / f"{name}.html").read_text("utf-8"),
        js_on_load=(FOLDER / f"{name}.js").read_text("utf-8"),
        apply_default_css=False,
        **settings,
    )
