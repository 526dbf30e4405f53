"""Count in how many news articles each word stands, for `rag.rarity`.

    python training/word_counts.py NEWS.jsonl.gz

Writes `rag/word_counts.tsv.gz`: the number of articles, then a line "word<TAB>articles" for
each word in at least MIN_ARTICLES of them. The same input gives the same bytes.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path

from index.words import words

MIN_ARTICLES = 4
OUT = Path(__file__).parent.parent / "rag" / "word_counts.tsv.gz"


def count(path: Path) -> tuple[int, Counter[str]]:
    """Return the number of articles and each word's number of articles."""
    articles = 0
    counts: Counter[str] = Counter()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            articles += 1
            counts.update(set(words(json.loads(line)["text"])))
    return articles, counts


def main() -> None:
    articles, counts = count(Path(sys.argv[1]))
    kept = sorted((w, n) for w, n in counts.items() if n >= MIN_ARTICLES and "\t" not in w)
    text = "\n".join([str(articles), *(f"{word}\t{n}" for word, n in kept)])
    OUT.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
    print(f"{articles} articles, {len(kept)} words, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
