"""Take the README's pictures of the page, from the page itself: `python benchmarks/screenshots.py`.

It makes a library of the seed article, serves the page, asks in a browser and writes PNG files
of few colours into docs/.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from index.embedder import load_embedder
from rag.answer import Chatbot
from rag.default_library import seed_library

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

from browser import DESKTOP, PHONE, ask, launched, served, visited  # noqa: E402

OUT = ROOT / "docs"
HOSPITALS = "市人民医院、市中医医院分别与哪些医院合作？"
TOWN = "教育小镇计划总投资多少？"
MAYOR = "市长叫什么名字？"


def main() -> None:
    """Write every picture."""
    OUT.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        seed_library(Path(folder) / "library", load_embedder()) as library,
        sync_playwright() as playwright,
        served(Chatbot(library)) as address,
    ):
        browser = launched(playwright)
        with visited(browser, address) as page:
            save(page, "start")
            ask(page, TOWN)
            ask(page, "那它是哪个集团的？")
            save(page, "desktop")
        with visited(browser, address) as page:
            ask(page, HOSPITALS)
            page.locator(".wj-text .wj-cite").first.click()
            page.locator(".wj-mark").wait_for()
            save(page, "source")
        with visited(browser, address) as page:
            ask(page, MAYOR)
            save(page, "refusal")
        with visited(browser, address, dark=True) as page:
            ask(page, TOWN)
            page.locator(".wj-trace summary").click()
            save(page, "dark")
        with visited(browser, address, size=PHONE) as page:
            ask(page, TOWN)
            save(page, "phone")
            page.locator(".wj-text .wj-cite").first.click()
            page.locator(".wj-mark").wait_for()
            save(page, "phone-source")
        browser.close()


def save(page: Page, name: str) -> None:
    """Write what the page shows; 128 colours are enough for it."""
    page.wait_for_timeout(1500)
    path = OUT / f"{name}.png"
    page.screenshot(path=path)
    picture = Image.open(path).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    width = DESKTOP[0] if page.viewport_size == {"width": 1280, "height": 800} else PHONE[0]
    print(f"{path.relative_to(ROOT)}: {width} wide, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
