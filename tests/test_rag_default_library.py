"""The default library: made once, for any number of processes, or in a temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from letters import LetterEmbedder

import rag.default_library as module
from index.documents import Document
from index.errors import LibraryBusy, LibraryError, LibraryMismatch
from index.library import DiskLibrary
from rag.default_library import (
    SEED_ID,
    corpus_library,
    default_folder,
    default_library,
    seed_document,
    seed_library,
)
from rag.settings import Settings


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch, letters: LetterEmbedder) -> None:
    monkeypatch.setattr(module, "load_embedder", lambda *_, **__: letters)


def test_the_seed_article_is_the_same_wherever_it_is_installed() -> None:
    document = seed_document()
    assert (document.id, document.source) == (SEED_ID, f"seeds/{SEED_ID}")
    article = Path(__file__).parent.parent / "seeds" / SEED_ID
    assert document.text == article.read_text(encoding="utf-8")


def test_the_first_use_makes_it_in_the_data_folder(new_home: Path) -> None:
    library, notices = default_library(Settings())
    with library:
        assert [document.id for document in library.documents()] == [SEED_ID]
        assert library.info().location == str(default_folder())
    assert default_folder().is_relative_to(new_home)
    assert notices == ()


def test_the_second_use_embeds_nothing(new_home: Path, letters: LetterEmbedder) -> None:
    default_library(Settings())[0].close()
    embedded = letters.texts_embedded
    default_library(Settings())[0].close()
    assert letters.texts_embedded == embedded > 0


def test_a_removed_article_stays_removed(new_home: Path) -> None:
    with default_library(Settings())[0] as library:
        library.remove([SEED_ID])
    with default_library(Settings())[0] as library:
        assert library.documents() == []


def test_a_rebuilt_library_is_left_as_it_is(new_home: Path) -> None:
    with default_library(Settings())[0] as library:
        library.rebuild()
    with default_library(Settings())[0] as library:
        assert len(library.documents()) == 1


def test_processes_that_start_at_once_all_succeed(new_home: Path) -> None:
    code = (
        "import rag.default_library as m; from rag.settings import Settings\n"
        "from letters import LetterEmbedder\n"
        "m.load_embedder = lambda *a, **k: LetterEmbedder()\n"
        "library, notices = m.default_library(Settings())\n"
        "print(len(library.documents()), notices)\n"
    )
    here = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(here), str(here.parent)))}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0] for process in started] == ["1 ()\n"] * 3


def test_it_waits_for_a_process_that_is_making_it(
    new_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = DiskLibrary.add
    calls: list[int] = []

    def busy_at_first(self: DiskLibrary, *args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) < 3:
            raise LibraryBusy("忙", "busy")
        return add(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(DiskLibrary, "add", busy_at_first)
    with default_library(Settings())[0] as library:
        assert len(library.documents()) == 1
    assert len(calls) == 3


def test_it_does_not_wait_for_ever(new_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise LibraryBusy("忙", "busy")

    monkeypatch.setattr(DiskLibrary, "add", busy)
    monkeypatch.setattr(module, "_SEEDING_S", 0.0)
    with pytest.raises(LibraryBusy):
        default_library(Settings())


@pytest.fixture
def unwritable(new_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that nothing can be written to, by root neither: a file is in its way."""
    blocked = new_home / "a file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(blocked))
    return blocked


def test_a_temporary_library_serves_where_the_folder_cannot_be_written(unwritable: Path) -> None:
    library, (notice,) = default_library(Settings())
    with library:
        assert [document.id for document in library.documents()] == [SEED_ID]
        assert not library.info().location.startswith(str(unwritable))
    assert str(unwritable) in notice
    assert "WENJU_LIBRARY" in notice


def test_the_notice_is_in_english_for_readers_of_english(unwritable: Path) -> None:
    library, (notice,) = default_library(Settings(lang="en"))
    library.close()
    assert "a temporary one with the seed article serves" in notice
    assert "cannot be read or written" in notice
    assert "无法" not in notice


def test_what_must_last_is_not_put_into_a_temporary_folder(unwritable: Path) -> None:
    with pytest.raises(LibraryError):
        default_library(Settings(), lasting=True)


def test_a_named_library_is_opened_as_it_is(new_home: Path, tmp_path: Path) -> None:
    settings = Settings(library=tmp_path / "named")
    with pytest.raises(LibraryError, match="named"):
        default_library(settings)
    with default_library(settings, create=True)[0] as library:
        assert library.documents() == []
    assert not default_folder().exists()


def test_a_library_of_another_embedder_is_refused(
    new_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default_library(Settings())[0].close()
    other = LetterEmbedder()
    other.name = "tests/other"
    monkeypatch.setattr(module, "load_embedder", lambda *_, **__: other)
    with pytest.raises(LibraryMismatch, match="rebuild"):
        default_library(Settings())


def test_the_settings_choose_the_embedder(
    new_home: Path, monkeypatch: pytest.MonkeyPatch, letters: LetterEmbedder
) -> None:
    asked: dict[str, object] = {}

    def load(name: str, **options: object) -> LetterEmbedder:
        asked.update(options, name=name)
        return letters

    monkeypatch.setattr(module, "load_embedder", load)
    default_library(Settings(embedder="m", device="cpu", dtype="float32", batch_size=7))[0].close()
    assert asked == {"name": "m", "device": "cpu", "dtype": "float32", "batch_size": 7}


def test_a_seed_library_holds_the_article_alone(tmp_path: Path, letters: LetterEmbedder) -> None:
    with seed_library(tmp_path / "library", letters) as library:
        assert [document.id for document in library.documents()] == [SEED_ID]


def test_a_corpus_is_embedded_once(new_home: Path, letters: LetterEmbedder) -> None:
    documents = [Document(f"d{n}", f"d{n}", f"第{n}篇文章。", "test") for n in range(3)]
    corpus_library(documents, None, letters).close()
    embedded = letters.texts_embedded
    with corpus_library(documents, None, letters) as library:
        assert len(library.documents()) == 3
        assert library.info().location.startswith(str(new_home))
    assert letters.texts_embedded == embedded > 0
    with corpus_library(documents[:2], None, letters) as library:
        assert len(library.documents()) == 2


def test_a_corpus_that_was_moved_is_taken_as_well(new_home: Path, letters: LetterEmbedder) -> None:
    for source in ("/before", "/after"):
        document = Document("d", "d", "一篇文章。", source)
        with corpus_library([document], None, letters) as library:
            assert library.document("d").source == source


def test_a_corpus_goes_where_it_is_told(tmp_path: Path, letters: LetterEmbedder) -> None:
    folder = tmp_path / "corpus"
    with corpus_library([Document("d", "d", "一篇文章。", "test")], folder, letters) as library:
        assert library.info().location == str(folder)
