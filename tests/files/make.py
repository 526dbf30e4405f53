"""Make the files beside this one anew, with LibreOffice, Chromium, pandoc, Pillow and zipfile.

    python tests/files/make.py

Needs `soffice` (writer and impress), `pandoc`, `chromium` and the Noto CJK fonts. The tests
compare what is read from the files with the texts in `expected/`, and need none of these.
"""

from __future__ import annotations

import subprocess
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from PIL import Image, ImageDraw

HERE = Path(__file__).parent

PARAGRAPH = (
    "清河县位于省境西南，全县下辖九个乡镇，户籍人口三十一万二千人。{n}年，全县实现地区生产总值"
    "八十六亿四千万元，按可比价格计算，比上年增长百分之五点三；一般公共预算收入完成七亿一千万元，"
    "城镇新增就业四千二百人，居民人均可支配收入达到两万八千元。"
)
WATER = (
    "水库除险加固工程于2021年4月开工，2022年11月完工，总投资3,850万元，由县水务局负责实施。"
    "工程完工后，灌溉面积由一万二千亩扩大到一万九千亩，沿线六个村的饮水问题得到解决。"
)
NOTE = "灌溉面积按县水务局2022年底的统计口径计算。"
LEFT = "茶叶是清河县的主要产业。2022年全县茶园面积六万八千亩，产干茶四千一百吨，综合产值十二亿元。"
RIGHT = "旅游业恢复较快。全年接待游客一百九十万人次，其中过夜游客四十七万人次，旅游收入九亿元。"
ROWS = [
    ("乡镇", "人口（人）", "茶园（亩）"),
    ("石桥镇", "52,300", "11,200"),
    ("云台乡", "18,600", "15,400"),
    ("柳林镇", "43,900", "3,700"),
]

FODT = """<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0"
 office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.text">
<office:font-face-decls>
 <style:font-face style:name="CJK" style:font-family-generic="roman"
  style:font-pitch="variable" xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"
  svg:font-family="'Noto Sans CJK SC'"/>
</office:font-face-decls>
<office:styles>
 <style:default-style style:family="paragraph">
  <style:text-properties style:font-name="CJK" style:font-name-asian="CJK" fo:font-size="11pt"
   style:font-size-asian="11pt" fo:language="zh" fo:country="CN" style:language-asian="zh"
   style:country-asian="CN"/>
 </style:default-style>
 <style:style style:name="Standard" style:family="paragraph">
  <style:paragraph-properties fo:line-height="150%" fo:margin-bottom="0.2cm"/></style:style>
 <style:style style:name="Heading_20_1" style:display-name="Heading 1" style:family="paragraph"
  style:parent-style-name="Standard" style:default-outline-level="1">
  <style:text-properties fo:font-size="18pt" style:font-size-asian="18pt" fo:font-weight="bold"
   style:font-weight-asian="bold"/></style:style>
 <style:style style:name="Heading_20_2" style:display-name="Heading 2" style:family="paragraph"
  style:parent-style-name="Standard" style:default-outline-level="2">
  <style:text-properties fo:font-size="14pt" style:font-size-asian="14pt" fo:font-weight="bold"
   style:font-weight-asian="bold"/></style:style>
</office:styles>
<office:automatic-styles>
 <style:style style:name="columns" style:family="section">
  <style:section-properties><style:columns fo:column-count="2" fo:column-gap="0.8cm"/>
  </style:section-properties></style:style>
 <style:page-layout style:name="page"><style:page-layout-properties fo:page-width="14.8cm"
   fo:page-height="21cm" fo:margin="1.8cm"/>
  <style:header-style><style:header-footer-properties fo:min-height="0.8cm"/></style:header-style>
  <style:footer-style><style:header-footer-properties fo:min-height="0.8cm"/></style:footer-style>
 </style:page-layout>
</office:automatic-styles>
<office:master-styles>
 <style:master-page style:name="Standard" style:page-layout-name="page">
  <style:header><text:p>清河县人民政府办公室 内部资料</text:p></style:header>
  <style:footer><text:p>第 <text:page-number/> 页 共 <text:page-count/> 页</text:p></style:footer>
 </style:master-page>
</office:master-styles>
<office:body><office:text>
<text:h text:style-name="Heading_20_1" text:outline-level="1">清河县2022年工作报告</text:h>
<text:h text:style-name="Heading_20_2" text:outline-level="2">一、基本情况</text:h>
{paragraphs}
<text:h text:style-name="Heading_20_2" text:outline-level="2">二、水利建设</text:h>
<text:p text:style-name="Standard">{water_before}<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body><text:p>{note}</text:p></text:note-body></text:note>{water_after}</text:p>
<text:h text:style-name="Heading_20_2" text:outline-level="2">三、产业发展</text:h>
<text:section text:style-name="columns" text:name="two"><text:p text:style-name="Standard">{left}</text:p><text:p text:style-name="Standard">{right}</text:p></text:section>
<text:h text:style-name="Heading_20_2" text:outline-level="2">四、分乡镇数据</text:h>
<table:table table:name="t"><table:table-column table:number-columns-repeated="3"/>
{rows}</table:table>
<text:p text:style-name="Standard">报告完。</text:p>
</office:text></office:body></office:document>
"""

MARKDOWN = """---
title: 春季采购方案
---

# 采购范围

本次采购包括*办公桌椅*和**打印设备**两类，预算总额为46.8万元。[^1]

[^1]: 预算含税，不含运输费用。

| 品名 | 数量 | 单价 |
|------|------|------|
| 办公桌 | 120张 | 1,350元 |
| 打印机 | 15台 | 4,200元 |

## 时间安排

1. 3月5日前完成询价；
2. 3月20日前签订合同。

联系人：[周敏](https://example.com/zhou)。
"""

SLIDES = """---
title: 茶产业招商推介
---

# 产业现状

- 茶园面积六万八千亩
- 综合产值十二亿元

::: notes
讲到这里请播放短片。
:::

# 招商政策

| 项目 | 补贴 |
|------|------|
| 加工厂 | 每亩8万元 |
| 冷库 | 每座30万元 |
"""

PAGE = """<!DOCTYPE html><html><head><meta charset="{charset}"><title>石桥镇举办插秧节 - 清河新闻网</title>
<meta property="article:published_time" content="2023-05-18T09:30:00+08:00">
<style>body {{ font-family: 'Noto Sans CJK SC' }} table {{ border-collapse: collapse }}
td, th {{ border: 1px solid #000; padding: 4px }}
@media print {{ .cookie, header, nav, aside, footer {{ display: none }} }}
h1, h2, th {{ font-weight: normal }}</style>
<script>var tracker = "不应出现的脚本";</script></head><body>
<div id="cookie-banner" class="cookie">本网站使用 Cookie 改善体验。<button>接受全部</button></div>
<header><a href="/">清河新闻网</a></header>
<nav><ul><li><a href="/a">首页</a></li><li><a href="/b">要闻</a></li><li><a href="/c">乡镇</a></li></ul></nav>
<main><article><h1>石桥镇举办插秧节</h1>
<p class="info">2023年5月18日 来源：清河日报</p>
<p>5月17日，石桥镇第六届插秧节在柳湾村开幕，来自周边四县的2,300名游客下田体验。开幕式上，镇长刘卫东介绍，全镇今年种植优质稻9,600亩，<br>比去年增加1,100亩。</p>
<h2>分组成绩</h2>
<table><thead><tr><th>队伍</th><th>用时</th><th>名次</th></tr></thead>
<tbody><tr><td>柳湾村队</td><td>21分40秒</td><td>1</td></tr>
<tr><td>石桥社区队</td><td>23分05秒</td><td>2</td></tr></tbody></table>
<h2>后续安排</h2>
<ul><li>6月上旬统一追肥；</li><li>9月下旬举办开镰节。</li></ul>
</article></main>
<aside><h3>热门推荐</h3><ul><li><a href="/1">全县茶叶开采</a></li><li><a href="/2">水库完工</a></li></ul></aside>
<footer>版权所有 清河新闻网 备案号12345</footer></body></html>
"""

VERTICAL = """<!DOCTYPE html><html><head><meta charset="utf-8"><style>
body {{ font-family: 'Noto Sans CJK SC'; writing-mode: vertical-rl; height: 12cm }} h1 {{ font-weight: normal }}</style></head>
<body><h1>竖排通告</h1><p>{text}</p></body></html>"""

CSV = "姓名,单位,电话\n周敏,县采购办,0790-5521\n刘卫东,石桥镇,\n"


def main() -> None:
    with TemporaryDirectory() as folder:
        work = Path(folder)
        _written(work)
        _pandoc(work)
        _pages(work)
    (HERE / "通讯录.csv").write_bytes(CSV.encode("gb18030"))
    (HERE / "新闻.html").write_bytes(PAGE.format(charset="gb18030").encode("gb18030"))
    _scan()
    _zip()


def _written(work: Path) -> None:
    before, _, after = WATER.partition("灌溉面积由")
    rows = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell><text:p text:style-name="Standard">{cell}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in ROWS
    )
    head = f"<table:table-header-rows>{rows.partition('</table:table-row>')[0]}</table:table-row></table:table-header-rows>"
    body = rows.partition("</table:table-row>")[2]
    paragraphs = "".join(
        f'<text:p text:style-name="Standard">{PARAGRAPH.format(n=n)}</text:p>'
        for n in range(2017, 2023)
    )
    fields = {
        "paragraphs": paragraphs,
        "water_before": before + "灌溉面积",
        "water_after": "由" + after,
        "note": NOTE,
        "left": LEFT,
        "right": RIGHT,
        "rows": head + body,
    }
    source = work / "工作报告.fodt"
    source.write_text(FODT.format(**fields), "utf-8")
    _office("docx", source, HERE)
    _office("pdf", source, HERE)
    locked = (
        'pdf:writer_pdf_Export:{"EncryptFile":{"type":"boolean","value":"true"},'
        '"DocumentOpenPassword":{"type":"string","value":"secret"}}'
    )
    short = work / "加密.fodt"
    fields |= {"paragraphs": "", "rows": "", "left": "", "right": ""}
    short.write_text(FODT.format(**fields), "utf-8")
    _office(locked, short, HERE)


def _pandoc(work: Path) -> None:
    source = work / "采购方案.md"
    source.write_text(MARKDOWN, "utf-8")
    for suffix in ("docx", "html"):
        target = HERE / f"采购方案.{suffix}"
        subprocess.run(["pandoc", "-s", source, "-o", target, "-M", "lang=zh-CN"], check=True)
    slides = work / "招商推介.md"
    slides.write_text(SLIDES, "utf-8")
    made = work / "招商推介.pptx"
    subprocess.run(["pandoc", slides, "-o", made, "-M", "lang=zh-CN"], check=True)
    (HERE / "招商推介.pptx").write_bytes(made.read_bytes())
    # The same, saved again by LibreOffice.
    again = work / "另存.pptx"
    again.write_bytes(made.read_bytes())
    _office("pptx", again, HERE)


def _pages(work: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=work)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        for name, text in (
            ("新闻", PAGE.format(charset="utf-8")),
            ("竖排", VERTICAL.format(text=LEFT + RIGHT)),
        ):
            (work / f"{name}.html").write_text(text, "utf-8")
            subprocess.run(
                [
                    *("chromium", "--headless", "--no-sandbox", "--disable-gpu"),
                    f"--print-to-pdf={HERE / f'{name}.pdf'}",
                    f"http://127.0.0.1:{server.server_port}/{name}.html",
                ],
                check=True,
            )
        server.shutdown()


def _scan() -> None:
    image = Image.new("L", (300, 200), 255)
    ImageDraw.Draw(image).rectangle((40, 40, 260, 160), outline=0)
    image.save(HERE / "扫描件.pdf")


def _zip() -> None:
    with zipfile.ZipFile(HERE / "资料.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(HERE / "通讯录.csv", "附件/通讯录.csv")
        packed.write(HERE / "采购方案.docx", "采购方案.docx")
        packed.writestr("说明.txt", "本包共两份附件。")


def _office(kind: str, source: Path, target: Path) -> None:
    subprocess.run(
        ["soffice", "--headless", "--convert-to", kind, "--outdir", target, source],
        check=True,
    )


if __name__ == "__main__":
    main()
