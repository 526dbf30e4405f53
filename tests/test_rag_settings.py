"""Settings: the environment is read once, and a wrong name or value is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag.errors import SettingsError
from rag.settings import Settings, language


def test_nothing_said_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_variables_are_read_with_their_types() -> None:
    settings = Settings.from_environment(
        {
            "WENJU_LIBRARY": "/data/文库",
            "WENJU_EMBEDDER": "some/model",
            "WENJU_DEVICE": "cpu",
            "WENJU_DTYPE": "bfloat16",
            "WENJU_BATCH_SIZE": "16",
            "WENJU_TOP_K": " 7 ",
            "WENJU_THRESHOLD": "0.25",
            "WENJU_LANG": "EN",
            "WENJU_AUTH": "读者:口令",
            "PATH": "/bin",
        }
    )
    assert settings == Settings(
        library=Path("/data/文库"),
        embedder="some/model",
        device="cpu",
        dtype="bfloat16",
        batch_size=16,
        top_k=7,
        threshold=0.25,
        lang="en",
        auth="读者:口令",
    )


def test_a_password_stays_out_of_the_repr() -> None:
    assert "口令" not in repr(Settings.from_environment({"WENJU_AUTH": "读者:口令"}))


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environment({"WENJU_TOP_K": "", "WENJU_LIBRARY": " "}) == Settings()


def test_overrides_win_unless_they_are_none() -> None:
    environ = {"WENJU_TOP_K": "7", "WENJU_DEVICE": "cuda"}
    settings = Settings.from_environment(environ, top_k=3, device=None)
    assert (settings.top_k, settings.device) == (3, "cuda")


def test_a_library_may_be_named_by_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    settings = Settings.from_environment({}, library="~/文库")
    assert settings.library == Path("/home/someone/文库")


def test_an_unknown_variable_is_told_with_the_near_name() -> None:
    with pytest.raises(SettingsError, match=r"WENJU_TOPK.*WENJU_TOP_K"):
        Settings.from_environment({"WENJU_TOPK": "3"})


def test_an_unknown_override_is_told_with_the_near_name() -> None:
    with pytest.raises(SettingsError, match=r"treshold.*threshold"):
        Settings.from_environment({}, treshold=0.5)


def test_a_name_like_no_other_lists_them_all() -> None:
    with pytest.raises(SettingsError, match=r"WENJU_LIBRARY.*WENJU_LANG"):
        Settings.from_environment({"WENJU_XYZZY": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOP_K", "five"),
        ("TOP_K", "0"),
        ("THRESHOLD", "1.5"),
        ("THRESHOLD", "nan"),
        ("BATCH_SIZE", "-1"),
        ("BATCH_SIZE", "1e3"),
        ("LANG", "fr"),
    ],
)
def test_an_impossible_value_is_told(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=value):
        Settings.from_environment({f"WENJU_{name}": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("library", 5),
        ("embedder", 5),
        ("device", ["cpu"]),
        ("dtype", 16),
        ("auth", 5),
        ("batch_size", "8"),
        ("batch_size", 1.5),
        ("top_k", "3"),
        ("threshold", "high"),
        ("lang", ["zh"]),
    ],
)
def test_a_value_of_another_type_is_told(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"设置 {name} 不能是"):
        Settings.from_environment({}, **{name: value})
    with pytest.raises(SettingsError, match=f"设置 {name} 不能是"):
        Settings(**{name: value})


def test_what_is_wrong_is_told_in_both_languages() -> None:
    with pytest.raises(SettingsError, match="没有 WENJU_NOPE") as unknown:
        Settings.from_environment({"WENJU_NOPE": "1"})
    assert unknown.value.english.startswith("There is no setting WENJU_NOPE")
    with pytest.raises(SettingsError, match="设置 top_k 不能是 0") as impossible:
        Settings.from_environment({}, top_k=0)
    assert impossible.value.english == "The setting top_k cannot be 0; use 1–100."


@pytest.mark.parametrize(
    ("said", "expected"), [("", "zh"), ("en", "en"), ("En ", "en"), ("fr", "zh")]
)
def test_language_is_chinese_unless_english_is_asked_for(said: str, expected: str) -> None:
    assert language({"WENJU_LANG": said}) == expected
