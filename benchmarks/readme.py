"""Make the README's figures from the results: `python -m benchmarks.readme [REPORT.json …]`.

What stands in the README between `<!-- NAME -->` and `<!-- /NAME -->` is made anew from
benchmarks/results. A report of `wenju eval --json` that is named is kept there first, under its
own file name and without its questions: its figures alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import (
    ablations,
    claims,
    cold,
    corpus,
    embedder,
    load,
    million,
    page,
    retrieval,
    writers,
)
from benchmarks.peers.report import choosing, table
from rag.report import METRICS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
EVALUATIONS = RESULTS / "eval"
PEERS = ROOT / "benchmarks" / "peers"
KEPT = ("metrics", "intervals", "counts", "by_kind")

FIXED = (
    "fact_contains",
    "fact_f1",
    "length_ratio",
    "recall@1",
    "recall@5",
    "random_recall@5",
    "citation_precision",
    "quote_verbatim",
    "refusal_precision",
    "refusal_recall",
    "refusal_auroc",
    "ece",
)
NEWS = (
    "correct",
    "fact_contains",
    "fact_f1",
    "document_recall@1",
    "recall@1",
    "recall@5",
    "citation_precision",
    "quote_verbatim",
    "refusal_recall",
    "refusal_auroc",
)
DOCUMENTS = (*NEWS[:-2], "refusal_precision", *NEWS[-2:])
RANKINGS = {"向量": "dense_", "词语": "lexical_", "融合": "fused_", "读后重排": ""}
SQUADS = {
    "cmrc": ("CMRC", "--limit 240 --sample-seed 1"),
    "cmrc-given": ("CMRC，给定段落", "--given-document --limit 500 --sample-seed 1"),
    "cmrc-held-out": ("CMRC，一半问题藏起", "--hold-out 0.5 --limit 240 --sample-seed 1"),
    "xquad-given": ("XQuAD，给定段落", "--given-document --limit 240 --sample-seed 1"),
}
"""What was asked, and the options of `wenju eval --squad`."""
CORPORA = ("2000", "20000", "20000-hash")

Figures = Mapping[str, Any]


def result(name: str) -> Any:
    """Return the JSON of a result."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def keep(report: Path) -> None:
    """Keep the figures of a report, without its questions and without times."""
    found = json.loads(report.read_text("utf-8"))
    kept = {part: found[part] for part in KEPT}
    for part in ("metrics", "intervals", "counts"):
        kept[part] = {k: v for k, v in kept[part].items() if not k.startswith("latency_")}
    kept_as = EVALUATIONS / report.name
    kept_as.write_text(json.dumps(kept, ensure_ascii=False, indent=1), "utf-8")


def ranged(report: Figures, metric: str) -> str:
    """Return a metric with its interval."""
    low, high = report["intervals"][metric]
    return f"{report['metrics'][metric]:.3f} [{low:.3f}, {high:.3f}]"


def metrics(report: Figures, chosen: Iterable[str]) -> str:
    """Return a table of metrics."""
    rows = ([f"{METRICS[metric]}（`{metric}`）", ranged(report, metric)] for metric in chosen)
    return "\n".join(table(["指标", "值"], rows))


def kinds(report: Figures) -> str:
    """Return a table of the kinds of questions."""
    rows = (
        [kind, str(each["n"]), f"{each['correct']:.2f}", f"{each['refused']:.2f}"]
        for kind, each in report["by_kind"].items()
    )
    return "\n".join(table(["题型", "题数", "处理正确", "拒答"], rows))


def rankings(report: Figures) -> str:
    """Return a table of what each ranking finds."""
    names = {
        "文档召回@1": "document_recall@1",
        "文档 MRR@10": "document_mrr@10",
        "证据 MRR@10": "mrr@10",
    }
    rows = (
        [name, *(f"{report['metrics'][prefix + metric]:.3f}" for prefix in RANKINGS.values())]
        for name, metric in names.items()
    )
    return "\n".join(table(["指标", *RANKINGS], rows))


def squads() -> str:
    """Return a table of the answers and refusals on each SQuAD-format file."""
    rows: list[list[str]] = []
    for name, (asked, options) in SQUADS.items():
        report = result(f"eval/{name}")
        if "--hold-out" in options:
            cells = ["", "", ranged(report, "refusal_auroc")]
        else:
            cells = [ranged(report, "answer_em"), ranged(report, "answer_f1"), ""]
        rows.append([f"{asked}（`{options}`）", str(report["counts"]["correct"]), *cells])
    return "\n".join(table(["", "题数", "回答完全一致", "字符 F1", "拒答 AUROC"], rows))


def news_counts() -> list[int]:
    """Return how many of each were handled rightly, and of how many.

    Those that one article answers come first, then those to refuse, then those that need two.
    """
    by_kind: dict[str, Figures] = dict(result("eval/news")["by_kind"])
    refused, two = by_kind.pop("near miss"), by_kind.pop("two documents")
    counts: list[int] = []
    for each in (list(by_kind.values()), [refused], [two]):
        counts += [round(sum(kind["correct"] * kind["n"] for kind in each))]
        counts += [sum(kind["n"] for kind in each)]
    return counts


def news_sentence() -> str:
    """Return the news' counts in Chinese."""
    return (
        "只看一篇的 {1} 题处理正确 {0} 题，该拒答的 {3} 题拒答 {2} 题，"
        "要合看两篇的（two documents）{5} 题答全 {4} 题"
    ).format(*news_counts())


def news_in_english() -> str:
    """Return the news' counts in English."""
    return (
        "Of the {1} that one article answers {0} are handled rightly, {2} of the {3} unanswerable "
        "ones are refused, and {4} of the {5} that need two articles are answered in full"
    ).format(*news_counts())


def claims_in_english() -> str:
    """Return the figures of the claims about news in English."""
    found = result("claims")["news"]
    return (
        f"on {found['pairs']} claims about forty news articles that the rules were not tuned on, "
        f'precision {found["precision"]:.3f} and recall {found["recall"]:.3f} of "unsupported", '
        f"and the right sentence cited for {min(found['cited'].values()):.3f} whatever the markers"
    )


BLOCKS: Mapping[str, Callable[[], str]] = {
    "cold": lambda: cold.sentence(result("cold")),
    "page": lambda: page.table([page.Row(**row) for row in result("page")]),
    "claims": lambda: claims.table(result("claims")),
    "claims-english": claims_in_english,
    "fixed": lambda: metrics(result("eval/fixed"), FIXED),
    "fixed-kinds": lambda: kinds(result("eval/fixed")),
    "news": lambda: metrics(result("eval/news"), NEWS),
    "news-sentence": news_sentence,
    "news-english": news_in_english,
    "documents": lambda: metrics(result("eval/documents"), DOCUMENTS),
    "documents-kinds": lambda: kinds(result("eval/documents")),
    "cmrc": lambda: rankings(result("eval/cmrc")),
    "squads": squads,
    "ablations": lambda: "\n\n".join(ablations.tables(result("ablations"))),
    "embedder": lambda: embedder.table(result("embedder")),
    "retrieval": lambda: retrieval.table(result("retrieval")),
    "corpus": lambda: corpus.table([result(f"corpus/{name}") for name in CORPORA]),
    "load": lambda: load.table(result("load")),
    "writers": lambda: f"```\n{writers.table(writers.Report(**result('writers')))}\n```",
    "peers": lambda: choosing(json.loads((PEERS / "results.json").read_text("utf-8"))),
    "million": lambda: million.table(result("million")),
}


def filled(readme: str) -> str:
    """Return the README with the figures of the results.

    Raises:
        ValueError: a block is not there, or is there twice.
    """
    for name, made in BLOCKS.items():
        before, between, after = _parted(readme, f"<!-- {name} -->", f"<!-- /{name} -->")
        gap = "\n\n" if "\n" in between else ""
        readme = f"{before}{gap}{made()}{gap}{after}"
    return readme


def _parted(readme: str, opening: str, closing: str) -> tuple[str, str, str]:
    before, rest = readme.split(opening)
    between, after = rest.split(closing)
    return before + opening, between, closing + after


def main(
    reports: Annotated[
        list[Path] | None, typer.Argument(help="reports of `wenju eval --json` to keep")
    ] = None,
) -> None:
    """Keep the reports and make the README's figures."""
    for report in reports or ():
        keep(report)
    README.write_text(filled(README.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    typer.run(main)
