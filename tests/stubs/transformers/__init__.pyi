# Of what sentence-transformers takes from it pyright need not read thousands of files.
from typing import Any

def __getattr__(name: str) -> Any: ...
