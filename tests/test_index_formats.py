"""Files of every format, made by real programs, against their text; and hostile ones, refused."""

from __future__ import annotations

import ctypes
import os
import stat
import tempfile
import time
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import docx
import pptx
import pypdfium2
import pytest
from letters import LetterEmbedder
from pptx.util import Emu

from index import archives, formats, html, office, pdf, tables
from index.documents import Document, read_documents
from index.errors import DocumentError
from index.formats import FORMATS, Format, extract
from index.library import open_library
from index.passages import split_document
from index.tables import Cell, lines_of
from rag.citations import cite, page_of

FILES = Path(__file__).parent / "files"
EXPECTED = sorted((FILES / "expected").iterdir())


def read(path: Path) -> tuple[list[Document], list[str]]:
    errors: list[DocumentError] = []
    found = list(read_documents(path, on_error=errors.append))
    return found, [str(error) for error in errors]


def only(path: Path) -> Document:
    (document,) = read_documents(path)
    return document


def error_of(path: Path) -> str:
    documents, errors = read(path)
    assert documents == []
    (error,) = errors
    assert str(path) in error
    assert "请" in error
    return error


@pytest.fixture
def no_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, which a test must leave empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def write_zip(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


# What real programs make


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: path.stem)
def test_the_text_of_a_file_is_what_a_reader_sees(expected: Path) -> None:
    """Compare text and pages with what is expected, where a form feed begins each new page."""
    document = only(FILES / expected.stem)
    pages = document.meta.get("pages", [0])
    cuts = [*pages, len(document.text)]
    shown = [document.text[start:end] for start, end in pairwise(cuts)]
    assert "\f".join(shown) == expected.read_text("utf-8")
    assert pages[0] == 0


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: path.stem)
def test_passages_are_verbatim_and_stand_under_their_headings(expected: Path) -> None:
    document = only(FILES / expected.stem)
    passages = split_document(document)
    assert all(document.text[p.start : p.end] == p.text for p in passages)
    headings = {p.heading for p in passages}
    lines = [line for line in document.text.splitlines() if line.startswith("#")]
    assert headings - {""} <= {line.lstrip("# ") for line in lines}
    assert not any(line.startswith("#") for line in headings)


def test_a_citation_carries_the_page_of_its_quote_through_the_library(
    tmp_path: Path, letters: LetterEmbedder
) -> None:
    report = only(FILES / "工作报告.pdf")
    with open_library(tmp_path / "库", letters) as library:
        library.add([report])
        kept = library.document("工作报告.pdf")
        passages = library.passages("工作报告.pdf")
    pages: dict[str, int | None] = {}
    for passage in passages:
        for sentence in passage.sentences():
            (claim,) = cite([(sentence.text, kept, sentence)])
            (citation,) = claim.citations
            assert kept.text[citation.start : citation.end] == citation.quote
            pages[citation.quote] = citation.page
    assert pages["# 清河县2022年工作报告"] == 1
    assert next(page for quote, page in pages.items() if quote.startswith("2021年，")) == 2
    # This sentence begins on one page and ends on the next.
    assert next(page for quote, page in pages.items() if "总投资3,850万元" in quote) == 2
    assert next(page for quote, page in pages.items() if "一万九千亩" in quote) == 3
    assert pages["乡镇：石桥镇，人口（人）：52,300，茶园（亩）：11,200"] == 3
    (heading,) = {p.heading for p in passages if "一万九千亩" in p.text}
    assert heading == "二、水利建设"


def test_titles_and_dates_are_found() -> None:
    documents, _ = read(FILES)
    told = {d.id.removeprefix("files/"): (d.title, d.meta.get("published")) for d in documents}
    assert told["工作报告.pdf"] == ("清河县2022年工作报告", None)
    assert told["新闻.html"] == told["新闻.pdf"] == ("石桥镇举办插秧节", "2023-05-18")
    assert told["通讯录.csv"][0] == "通讯录"
    assert told["招商推介.pptx"][0] == "茶产业招商推介"


def test_a_page_without_a_heading_has_the_title_of_its_head(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<title>采购公告 - 某网</title><p>今天下午三点开标。</p>", "utf-8")
    assert only(path).title == "采购公告"


def test_the_files_of_an_archive_are_read_like_those_of_a_folder(no_leftovers: Path) -> None:
    documents, errors = read(FILES / "资料.zip")
    assert errors == []
    ids = ["资料.zip/说明.txt", "资料.zip/采购方案.docx", "资料.zip/附件/通讯录.csv"]
    assert [d.id for d in documents] == ids
    assert documents[1].source == f"{FILES / '资料.zip'}#采购方案.docx"
    assert documents[1].text == only(FILES / "采购方案.docx").text
    assert list(no_leftovers.iterdir()) == []


def test_chinese_names_of_old_archives_are_read(tmp_path: Path) -> None:
    """Read names in GB18030, which archives of Chinese Windows have and do not declare."""
    path = write_zip(tmp_path / "a.zip", {"aaaa.txt": "正文"})
    path.write_bytes(path.read_bytes().replace(b"aaaa.txt", "通知.txt".encode("gb18030")))
    assert [d.id for d in read_documents(path)] == ["a.zip/通知.txt"]


def test_what_cannot_be_read_of_an_archive_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    members = {
        "好.txt": "正文",
        "图.png": b"\x89PNG\0",
        "内.zip": b"PK",
        "坏.pdf": b"%PDF-1.7 broken",
        ".隐藏.txt": "密",
        "__MACOSX/好.txt": "密",
    }
    path = write_zip(tmp_path / "a.zip", members)
    documents, errors = read(path)
    assert [d.id for d in documents] == ["a.zip/好.txt"]
    assert [any(name in e for e in errors) for name in ("图.png", "内.zip", "坏.pdf")] == [True] * 3
    assert len(errors) == 3
    assert all(str(tempfile.gettempdir()) + "/wenju-" not in error for error in errors)


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([["项目", "金额", "年份"], ["路", "5万", "2020"]], ["项目：路，金额：5万，年份：2020"]),
        ([["", "甲", "乙"], ["高", "1", ""]], ["高，甲：1"]),
        ([["姓名", "周敏"], ["电话", "123"]], ["姓名：周敏", "电话：123"]),
        ([["1", "2", "3"], ["4", "5", "6"]], ["1，2，3", "4，5，6"]),
        ([["年份", "2022年营收", "2023"], ["甲", "1", "2"]], ["年份：甲，2022年营收：1，2023：2"]),
        (
            [["甲", "2022年5月", "3"], ["乙", "2023年6月", "4"]],
            ["甲，2022年5月，3", "乙，2023年6月，4"],
        ),
        (
            [["登记表", "", ""], ["姓名", "年龄", "电话"], ["周敏", "30", ""]],
            ["登记表", "姓名：周敏，年龄：30"],
        ),
        ([["姓名", "", "性别"], ["籍贯", "清河", "学历"]], ["姓名，性别", "籍贯，清河，学历"]),
        ([["是", "是", "否"], ["否", "是", "否"]], ["是，是，否", "否，是，否"]),
        ([["一 \n 行"], [""], []], ["一 行"]),
        ([], []),
    ],
)
def test_rows_become_lines_that_say_what_they_mean(rows: list[list[str]], lines: list[str]) -> None:
    assert list(lines_of(map(Cell, row) for row in rows)) == lines


SPANNING = {
    "rows": (
        [
            [Cell("季度"), Cell("月份"), Cell("营收")],
            [Cell("一季度", rows=2), Cell("1月"), Cell("5")],
            [Cell("2月"), Cell("6")],
            [Cell("合计", columns=2), Cell("11")],
            [Cell("二季度", columns=3)],
        ],
        [
            "季度：一季度，月份：1月，营收：5",
            "季度：一季度，月份：2月，营收：6",
            "季度：合计，月份：合计，营收：11",
            "二季度",
        ],
    ),
    "heads of two rows": (
        [
            [Cell("地区", rows=2), Cell("2022年", columns=2), Cell("2023年", columns=2)],
            [Cell("营收"), Cell("利润"), Cell("营收"), Cell("利润")],
            [Cell("清河县"), Cell("5"), Cell("3"), Cell("6"), Cell("4")],
        ],
        ["地区：清河县，2022年 营收：5，2022年 利润：3，2023年 营收：6，2023年 利润：4"],
    ),
    "a title above": (
        [
            [Cell("统计", columns=3)],
            [Cell("乡镇"), Cell("户数"), Cell("人口")],
            [Cell("甲"), Cell("1"), Cell("2")],
        ],
        ["统计", "乡镇：甲，户数：1，人口：2"],
    ),
    "a form": (
        [
            [Cell("项目"), Cell("采购", columns=3)],
            [Cell("联系人"), Cell("周敏"), Cell("电话"), Cell("123")],
        ],
        ["项目，采购", "联系人，周敏，电话，123"],
    ),
    "more than there is": (
        [
            [Cell("甲"), Cell("乙"), Cell("丙")],
            [Cell("1", rows=10**9), Cell("2", columns=10**9)],
            [Cell("3"), Cell("4")],
        ],
        ["甲：1，乙：2，丙：2", "甲：1，乙：3，丙：4"],
    ),
}


@pytest.mark.parametrize("case", SPANNING)
def test_cells_that_span_stand_in_each_row_and_column(case: str) -> None:
    rows, lines = SPANNING[case]
    assert list(lines_of(rows)) == lines


def test_spans_are_read_from_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        "<table><thead><tr><th rowspan=9>季度<th>月份<th>营收<th>利润</thead>"
        "<tbody><tr><td rowspan=0>一季度<td>1月<td colspan=99999999999>5"
        "<tr><td>2月<td colspan=x>6<td>7<tr></tr></tbody>"
        "<tbody><tr><td rowspan=100000000>二季度<td colspan=0>4月<td>8<td>9</table>",
        "utf-8",
    )
    assert only(path).text.splitlines() == [
        "季度：一季度，月份：1月，营收：5，利润：5",
        "季度：一季度，月份：2月，营收：6，利润：7",
        "季度：二季度，月份：4月，营收：8，利润：9",
    ]


MERGED = [
    ["地区", "2022年", "2022年"],
    ["地区", "营收", "利润"],
    ["清河县", "5", "3"],
    ["合计", "合计", "3"],
]
MERGES = [((0, 0), (1, 0)), ((0, 1), (0, 2)), ((3, 0), (3, 1))]
MERGED_LINES = [
    "地区：清河县，2022年 营收：5，2022年 利润：3",
    "地区：合计，2022年 营收：合计，2022年 利润：3",
]


def test_merged_cells_of_word_and_slides_stand_in_each_row_and_column(tmp_path: Path) -> None:
    document, slides = docx.Document(), pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[6])
    shape: Any = slide.shapes.add_table(4, 3, Emu(0), Emu(0), Emu(9_000_000), Emu(4_000_000))
    for table in (document.add_table(4, 3), shape.table):
        for start, end in MERGES:
            table.cell(*start).merge(table.cell(*end))
        for row, texts in enumerate(MERGED):
            for column, text in enumerate(texts):
                table.cell(row, column).text = text
    for path, made in ((tmp_path / "a.docx", document), (tmp_path / "a.pptx", slides)):
        made.save(str(path))
        assert only(path).text.splitlines() == MERGED_LINES


def test_heads_of_comma_separated_values_may_be_blank_or_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for content, lines in (
        ("姓名,部门,部门,电话\n周敏,甲,乙,1", ["姓名：周敏，部门：甲，部门：乙，电话：1"]),
        ("\n编号,,金额\n1,路,5", ["编号：1，路，金额：5"]),
        ("姓名,电话\n周敏,1,\n", ["姓名：周敏，电话：1"]),
    ):
        path.write_text(content, "utf-8")
        assert only(path).text.splitlines() == lines


@pytest.mark.parametrize(
    ("content", "first"),
    [
        ("地区,1月,65岁以上人口\n清河,5,6", "地区：清河，1月：5，65岁以上人口：6"),
        ("地区,2022,2023\n清河,1200,1300", "地区：清河，2022：1200，2023：1300"),
        (f"地区,{'指标' * 20}\n清河,5", f"地区：清河，{'指标' * 20}：5"),
        ("清河,2019年5月1日\n青山,2018年12月2日", "清河：2019年5月1日"),
        ("清河,-1.5%\n青山,12%", "清河：-1.5%"),
    ],
)
def test_heads_that_a_file_says_to_be_such_may_begin_with_figures(
    content: str, first: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content, "utf-8")
    assert tables.read_csv(path).text.splitlines()[0] == first


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", "姓名,备注\n周敏,甲\u2028乙\n李强,丙\x85丁", "姓名：周敏，备注：甲 乙"),
        ("a.csv", f"姓名,备注\n周敏,{'长' * 200_000}", f"姓名：周敏，备注：{'长' * 200_000}"),
        ("a.tsv", "名单\n周敏,李强", "名单"),
        (
            "a.tsv",
            "名单\n周敏\t李强\n王芳,赵云,钱进,孙权",
            "名单：周敏，李强\n名单：王芳,赵云,钱进,孙权",
        ),
        ("a.csv", "姓名,备注\n周敏,'甲,乙'\n李强,'丙'", "姓名：周敏，备注：'甲，乙'"),
        ("a.csv", '姓名,备注\n周敏,"甲,乙"', "姓名：周敏，备注：甲,乙"),
    ],
)
def test_comma_separated_values_are_cut_only_at_their_signs(
    name: str, content: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content, "utf-8")
    assert tables.read_csv(path).text.startswith(text)


def test_rows_beyond_the_limit_are_not_left_out_silently(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("编号,名\n" + "1,甲\n" * 200_000, "utf-8")
    assert "超过 200,000 行" in error_of(path)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5"])
def test_a_page_is_read_in_the_encoding_that_it_declares_or_has(
    encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.html"
    text = "臺灣鐵路管理局的車站之一，位於臺北市中心。"
    for declared in (f'<meta charset="{encoding}">', "", '<meta charset="nonsense">'):
        path.write_bytes(f"{declared}<p>{text}</p>".encode(encoding))
        assert only(path).text == text


def test_menus_and_banners_of_pages_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.htm"
    links = "".join(f"<li><a href='/{n}'>栏目{n}</a></li>" for n in range(5))
    path.write_text(
        f"<body><ul>{links}</ul><div id=cookieConsent class='cookie-consent'>接受</div>"
        "<div style='display:none'>藏</div><div role=navigation>导航</div>"
        "<p>正文第一段有一个<a href=x>链接</a>。</p><script>x</script><!-- 注释 --></body>",
        "utf-8",
    )
    assert only(path).text == "正文第一段有一个链接。"


def test_a_form_that_holds_the_text_is_kept_and_a_search_box_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    search = "<form id=search><label>站内搜索</label><input name=q></form>"
    text = "本市企业开办时间压缩至3个工作日以内，公章刻制免费，材料一次提交。"
    script = f"<script>{'x' * 1000}</script>"
    for body in (f"<form id=aspnetForm>{search}<p>{text}</p></form>", f"{search}<p>{text}</p>"):
        path.write_text(f"<body>{script}{body}</body>", "utf-8")
        assert only(path).text.splitlines()[-1] == text
    assert "搜索" not in only(path).text


def test_cells_of_pages_are_read_like_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    links = "".join(f"<li><a href=x>{name}</a>" for name in ("周敏", "李强", "王芳"))
    path.write_text(
        "<table><caption>各年<br>人口<script>x</script></caption>"
        "<tr><th><h3>年份</h3><th>人口<th>负责人"
        "<tr><td>2019<br>2020<td><p>5万</p><p>6万</p><span style='display:none'>藏</span>"
        f"<td><ul>{links}</ul></table>",
        "utf-8",
    )
    assert only(path).text.splitlines() == [
        "各年 人口",
        "年份：2019 2020，人口：5万 6万，负责人：周敏 李强 王芳",
    ]


def test_a_table_of_one_column_is_layout(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<table><tr><td><h2>通知</h2><p>明天开会。</p><p>请准时。</p></table>", "utf-8")
    assert only(path).text.splitlines() == ["## 通知", "明天开会。", "请准时。"]


def test_text_that_a_script_would_show_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text('<div id=js_content style="visibility: hidden"><p>正文。</p></div>', "utf-8")
    assert only(path).text == "正文。"


def test_a_word_document_with_a_style_of_numbering_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    document = docx.Document()
    document.add_heading("通知", 1)
    document.add_paragraph("明天开会。")
    document.save(str(path))
    assert only(path).text == "# 通知\n明天开会。"


def test_modules_in_the_current_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "docx", "csv"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    for paths in (None, "", f"{os.pathsep}/elsewhere"):
        if paths is not None:
            monkeypatch.setenv("PYTHONPATH", paths)
        assert only(FILES / "工作报告.docx").text


def test_modules_that_the_environment_names_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Find a parser that is installed where only PYTHONPATH tells."""
    (tmp_path / "elsewhere.py").write_text(
        "from index.extracted import Extracted\ndef read(path):\n    return Extracted('在别处')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = extract(FILES / "通讯录.csv", Format("other", "elsewhere:read", "csv", ""))
    assert found.text == "在别处"


# Hostile and broken files


def test_a_scan_and_an_encrypted_file_are_told() -> None:
    assert "扫描件" in error_of(FILES / "扫描件.pdf")
    assert "密码" in error_of(FILES / "加密.pdf")


def test_pages_that_are_scanned_are_told_and_the_others_taken(tmp_path: Path) -> None:
    whole, scan = (pypdfium2.PdfDocument(FILES / f"{name}.pdf") for name in ("工作报告", "扫描件"))
    mixed = pypdfium2.PdfDocument.new()
    for part in (scan, whole, scan):
        mixed.import_pages(part, [0])
    path = tmp_path / "一半扫描.pdf"
    mixed.save(path)
    (document,), (error,) = read(path)
    assert str(path) in error
    assert "第 1、3 页" in error
    assert page_of(document, document.text.index(document.text.strip()[:10])) == 2
    assert only(path) == document  # nobody has to listen


def test_a_scan_with_its_page_numbers_printed_on_it_is_one(tmp_path: Path) -> None:
    scan = pypdfium2.PdfDocument(FILES / "扫描件.pdf")
    document = pypdfium2.PdfDocument.new()
    document.import_pages(scan, [0, 0])
    for number, page in enumerate(document, 1):
        text = pypdfium2.raw.FPDFPageObj_NewTextObj(document, b"Helvetica", 12)
        written = ctypes.create_string_buffer(f"- {number} -\0".encode("utf-16-le"))
        pypdfium2.raw.FPDFText_SetText(text, ctypes.cast(written, pypdfium2.raw.FPDF_WIDESTRING))
        pypdfium2.raw.FPDFPageObj_Transform(text, 1, 0, 0, 1, 280, 30)
        pypdfium2.raw.FPDFPage_InsertObject(page, text)
        page.gen_content()
    path = tmp_path / "带页码的扫描件.pdf"
    document.save(path)
    assert "扫描件" in error_of(path)


@pytest.mark.parametrize("name", ["工作报告.docx", "招商推介.pptx", "资料.zip"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_told(name: str, share: float, tmp_path: Path) -> None:
    whole = (FILES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "损坏" in error_of(path)


def test_a_pdf_that_is_cut_off_at_its_head_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes((FILES / "工作报告.pdf").read_bytes()[:300])
    assert "损坏" in error_of(path)


@pytest.mark.parametrize("suffix", [*FORMATS, ".zip", ".txt", ".jsonl"])
def test_an_empty_file_is_told(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"空{suffix}"
    path.touch()
    assert "是空文件" in error_of(path)


@pytest.mark.parametrize("name", ["工作报告.pdf", "工作报告.docx"])
@pytest.mark.parametrize("suffix", [".txt", ".html", ".csv", ".md", ".jsonl", ".pptx"])
def test_a_renamed_file_is_told(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"改名{suffix}"
    path.write_bytes((FILES / name).read_bytes())
    error = error_of(path)
    assert "内容" in error or "损坏" in error


@pytest.mark.parametrize("suffix", [".pdf", ".docx", ".pptx"])
def test_text_under_another_name_is_told(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("只是文字", "utf-8")
    assert f"内容不是 {suffix[1:]}" in error_of(path)


@pytest.mark.parametrize(
    ("suffix", "wanted"),
    [(".doc", "docx"), (".ppt", "pptx"), (".xls", "csv"), (".xlsx", "csv"), (".docx", "docx")],
)
def test_old_office_files_are_told_what_to_become(suffix: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / f"旧{suffix}"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    assert f"另存为 {wanted}" in error_of(path)
    documents, (error,) = read(tmp_path)
    assert (documents, f"另存为 {wanted}" in error) == ([], True)


@pytest.mark.parametrize(("suffix", "wanted"), [(".xlsx", "csv"), (".odt", "docx")])
def test_office_files_that_are_not_read_are_told_what_to_become(
    suffix: str, wanted: str, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / f"表{suffix}", {"content.xml": b"<a/>"})
    error = error_of(path)
    assert f"不支持 {suffix}" in error
    assert f"另存为 {wanted}" in error


def altered(name: str, path: Path, members: dict[str, bytes]) -> Path:
    """Copy a package with some of its parts replaced or added."""
    with zipfile.ZipFile(FILES / name) as whole:
        parts = {each: whole.read(each) for each in whole.namelist()}
    return write_zip(path, {**parts, **members})


def test_macros_are_refused(tmp_path: Path) -> None:
    path = altered("工作报告.docx", tmp_path / "a.docx", {"word/vbaProject.bin": b"x"})
    assert "宏" in error_of(path)
    named = tmp_path / "b.docm"
    named.write_bytes(path.read_bytes())
    assert "宏" in error_of(named)


def test_entities_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("机密")
    body = (
        f'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        "<w:body><w:p><w:r><w:t>&x;</w:t></w:r></w:p></w:body></w:document>"
    )
    path = altered("工作报告.docx", tmp_path / "a.docx", {"word/document.xml": body.encode()})
    assert "实体" in error_of(path)


def test_an_html_page_reads_no_other_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("机密")
    path = tmp_path / "a.html"
    path.write_text(
        f'<!DOCTYPE html [<!ENTITY x SYSTEM "{secret.as_uri()}">]><p>公开&x;</p>'
        f'<iframe src="{secret.as_uri()}"></iframe>',
        "utf-8",
    )
    assert "机密" not in only(path).text


def test_what_unpacks_to_a_gigabyte_is_refused_at_once(tmp_path: Path, no_leftovers: Path) -> None:
    zeros = tmp_path / "零.txt"
    with zeros.open("wb") as file:
        file.truncate(1_000_000_000)
    bomb = tmp_path / "炸弹.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.write(zeros, "零.txt")
        packed.write(zeros, "word/document.xml")
    zeros.unlink()
    begun = time.monotonic()
    assert "MB" in error_of(bomb)
    package = bomb.rename(tmp_path / "炸弹.docx")
    assert "MB" in error_of(package)
    assert time.monotonic() - begun < 10
    assert list(no_leftovers.iterdir()) == []


def test_an_archive_that_lies_about_its_size_is_cut_off(tmp_path: Path, no_leftovers: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.txt": "正" * 1_000_000})
    lied = path.read_bytes().replace((3_000_000).to_bytes(4, "little"), (9).to_bytes(4, "little"))
    path.write_bytes(lied)
    documents, errors = read(path)
    assert (documents, len(errors)) == ([], 1)
    assert list(no_leftovers.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../外.txt", "/外.txt", "a/../../外.txt", "..\\外.txt", "C:外.txt"]
)
def test_paths_that_lead_out_of_an_archive_are_refused(
    name: str, tmp_path: Path, no_leftovers: Path
) -> None:
    path = write_zip(tmp_path / "a.zip", {"好.txt": "正文", name: "外"})
    assert "指向压缩包以外" in error_of(path)
    assert list(no_leftovers.iterdir()) == []
    assert not (tmp_path / "外.txt").exists()


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo("链.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    assert "指向压缩包以外" in error_of(path)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_file_of_an_archive_does_not_lose_the_others(
    packing: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", packing) as packed:
        packed.writestr("坏.txt", "坏" * 100)
        packed.writestr("好.txt", "正文")
        begin = packed.infolist()[0].header_offset + 30 + len("坏.txt".encode())
        size = packed.infolist()[0].compress_size
    content = bytearray(path.read_bytes())
    content[begin + 9 : begin + size] = b"\xff" * (size - 9)
    path.write_bytes(content)
    documents, (error,) = read(path)
    assert [d.id for d in documents] == ["a.zip/好.txt"]
    assert "坏.txt" in error


def test_a_word_document_with_a_damaged_part_is_told(tmp_path: Path) -> None:
    path = altered(
        "采购方案.docx", tmp_path / "a.docx", {"word/x.xml": os.urandom(500).hex().encode()}
    )
    with zipfile.ZipFile(path) as package:
        begin = package.getinfo("word/x.xml").header_offset + 30 + len("word/x.xml")
    content = bytearray(path.read_bytes())
    content[begin : begin + 100] = b"\xff" * 100
    path.write_bytes(content)
    assert "已损坏" in error_of(path)


def test_names_that_no_file_may_have_are_read_from_archives(tmp_path: Path) -> None:
    long = "关于进一步做好企业开办便利化有关工作的通知" * 5
    path = write_zip(
        tmp_path / "a.zip",
        {f"{long}.csv": "姓名,电话\n周敏,1", "会议 10:30.docx": b"", "附件\\": ""},
    )
    with zipfile.ZipFile(path, "a") as packed:
        packed.write(FILES / "采购方案.docx", "附件\\会议 10:30.csv")
    documents, errors = read(path)
    assert [(d.id, d.title) for d in documents] == [(f"a.zip/{long}.csv", long)]
    assert len(errors) == 2
    assert all("会议 10:30" in error for error in errors)


def test_an_archive_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    path = write_zip(tmp_path / "a.zip", {f"{n}.txt": "文" for n in range(3)})
    assert "3 个文件" in error_of(path)


def test_an_html_page_nested_too_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<div>" * 100_000 + "正文", "utf-8")
    error = error_of(path)
    assert "嵌套" in error or "限度" in error


def test_spans_do_not_multiply(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    row = "<tr><td rowspan=65534 colspan=1000>甲<td>乙<td>丙"
    path.write_text(f"<table>{row * 300}</table>", "utf-8")
    begun = time.monotonic()
    assert only(path).text.startswith("甲，乙，丙\n")
    assert time.monotonic() - begun < 20


def test_a_pdf_of_a_million_pages_is_refused(tmp_path: Path) -> None:
    kids = b"3 0 R " * 1000
    path = tmp_path / "a.pdf"
    path.write_bytes(
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Count 1000000/Kids[" + kids + b"]>>endobj\n"
        b"3 0 obj<</Type/Pages/Parent 2 0 R/Count 1000/Kids[" + b"4 0 R " * 1000 + b"]>>endobj\n"
        b"4 0 obj<</Type/Page/Parent 3 0 R/MediaBox[0 0 9 9]>>endobj\n"
        b"trailer<</Root 1 0 R>>\n%%EOF"
    )
    begun = time.monotonic()
    assert "1,000,000 页" in error_of(path)
    assert time.monotonic() - begun < 20


def test_a_file_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "MAX_SECONDS", 1)
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    begun = time.monotonic()
    with pytest.raises(DocumentError, match="1 s"):
        extract(slow, Format("slow", "subprocess:check_call", "csv", ""))
    assert time.monotonic() - begun < 10


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux keeps the limit")
def test_a_file_that_takes_too_much_memory_is_given_up(tmp_path: Path) -> None:
    hungry = tmp_path / "hungry"
    hungry.write_text("'x' * (4 << 30)")
    with pytest.raises(DocumentError, match="3 GB"):
        extract(hungry, Format("hungry", "runpy:run_path", "csv", ""))


@pytest.mark.parametrize(
    ("code", "reason"), [("raise AttributeError", "AttributeError"), ("raise SystemExit(3)", "3")]
)
def test_a_reader_that_fails_is_not_said_to_go_beyond_a_limit(
    code: str, reason: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text(code)
    with pytest.raises(DocumentError, match=f"解析时出错（.*{reason}）"):
        extract(broken, Format("broken", "runpy:run_path", "csv", ""))


@pytest.mark.parametrize("suffix", [".pdf", ".docx", ".pptx", ".html"])
def test_a_missing_parser_says_how_to_get_it(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    (path,) = [p for p in FILES.glob(f"*{suffix}") if p.stem in ("工作报告", "招商推介", "新闻")][
        :1
    ]
    error = error_of(path)
    assert "wenju[formats]" in error
    assert FORMATS[suffix].package in error


def test_limits_are_what_the_messages_say() -> None:
    assert (pdf.MAX_PAGES, html.MAX_DEPTH) == (5_000, 200)
    assert office.MAX_UNPACKED_BYTES < archives.MAX_UNPACKED_BYTES
