"""Settings: the environment is read once, and a wrong name or value is told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index.milvus_address import MilvusAddress
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
            "WENJU_LLM_BASE_URL": "https://host/v1",
            "WENJU_LLM_MODEL": "some-model",
            "WENJU_LLM_API_KEY": "sk-1",
            "WENJU_LLM_HEADERS": '{"X-Team": "a", "X-Room": "b c"}',
            "WENJU_LLM_PROXY": "http://proxy:3128",
            "WENJU_LLM_VERIFY": "/etc/ca.pem",
            "WENJU_LLM_CONNECT_S": "1.5",
            "WENJU_LLM_FIRST_TOKEN_S": "20",
            "WENJU_LLM_TOTAL_S": "30",
            "WENJU_LLM_MAX_TOKENS": "200",
            "WENJU_LLM_CONTEXT": "8192",
            "WENJU_STRICT": "True",
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
        llm_base_url="https://host/v1",
        llm_model="some-model",
        llm_api_key="sk-1",
        llm_headers={"X-Team": "a", "X-Room": "b c"},
        llm_proxy="http://proxy:3128",
        llm_verify=Path("/etc/ca.pem"),
        llm_connect_s=1.5,
        llm_first_token_s=20,
        llm_total_s=30,
        llm_max_tokens=200,
        llm_context=8192,
        strict=True,
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [("true", True), ("1", True), ("FALSE", False), ("0", False), ("ca", Path("ca"))],
)
def test_certificates_are_checked_or_not_or_by_a_file(said: str, expected: bool | Path) -> None:
    assert Settings.from_environment({"WENJU_LLM_VERIFY": said}).llm_verify == expected
    assert Settings.from_environment({}, llm_verify=said).llm_verify == expected


@pytest.mark.parametrize(("said", "expected"), [("1", True), ("0", False), ("false", False)])
def test_strict_is_on_or_off(said: str, expected: bool) -> None:
    assert Settings.from_environment({"WENJU_STRICT": said}).strict is expected


def test_settings_with_headers_can_be_hashed() -> None:
    settings = Settings(llm_headers={"X-Team": "a"})
    assert hash(settings) == hash(Settings(llm_headers=(("X-Team", "a"),)))
    assert replace(settings, top_k=3).llm_headers == settings.llm_headers


SECRETS = {
    "AUTH": "读者:口令",
    "LLM_BASE_URL": "https://读者:口令@host/v1?key=口令",
    "LLM_MODEL": "m",
    "LLM_API_KEY": "口令",
    "LLM_HEADERS": '{"X-Key": "口令"}',
    "LLM_PROXY": "https://读者:口令@host",
}


def test_no_secret_is_in_the_repr() -> None:
    secrets = {**SECRETS, "LLM_API_KEY": "KOULING", "LLM_HEADERS": '{"X-Key": "KOULING"}'}
    settings = Settings.from_environment({f"WENJU_{k}": v for k, v in secrets.items()})
    assert settings.llm_api_key == "KOULING"
    assert not re.search("口令|KOULING", repr(settings))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LLM_BASE_URL", "读者:口令@host/v1"),
        ("LLM_PROXY", "读者:口令@host"),
        ("LLM_API_KEY", "口令"),
        ("LLM_API_KEY", "a\nb"),
        ("LLM_HEADERS", '{"X-Key": "口令"}'),
        ("LLM_HEADERS", '{"X-Key": "口令'),
        ("LLM_HEADERS", '["口令"]'),
        ("LLM_HEADERS", "5"),
    ],
)
def test_an_impossible_secret_is_told_without_it(name: str, value: str) -> None:
    told = f"设置 (WENJU_{name}|{name.lower()}) 不能是这个值；可以是"
    with pytest.raises(SettingsError, match=told) as raised:
        Settings.from_environment({f"WENJU_{name}": value})
    assert "口令" not in str(raised.value) + raised.value.english
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    "value",
    ["host/v1", "ftp://host/v1", "http://", "https:///v1", "http://host:x/v1", "http://a b/v1"],
)
def test_an_address_must_name_a_host(value: str) -> None:
    with pytest.raises(SettingsError, match=r"llm_base_url .*http://HOST…, https://HOST…"):
        Settings(llm_base_url=value, llm_model="m")


@pytest.mark.parametrize(
    ("told", "missing"), [("llm_base_url", "llm_model"), ("llm_model", "llm_base_url")]
)
def test_address_and_model_belong_together(told: str, missing: str) -> None:
    values = {"llm_base_url": "http://host/v1", "llm_model": "m"}
    with pytest.raises(SettingsError, match=f"WENJU_{missing.upper()}") as raised:
        Settings.from_environment({}, **{told: values[told]})
    assert raised.value.english.startswith(f"{told} is set but {missing} is not")


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


def test_a_library_may_be_on_a_milvus_server_with_a_token_of_its_own() -> None:
    environ = {"WENJU_LIBRARY": "milvus://db/news", "WENJU_MILVUS_TOKEN": "读者:口令"}
    settings = Settings.from_environment(environ)
    assert settings.library == MilvusAddress("db", name="news")
    assert settings.location == MilvusAddress("db", name="news", token="读者:口令")
    assert "口令" not in f"{settings!r} {settings.location!r} {settings.location}"
    assert Settings(library=Path("a"), milvus_token="读者:口令").location == Path("a")


def test_an_address_that_cannot_be_read_is_told_without_it() -> None:
    with pytest.raises(SettingsError, match="milvus://HOST") as refused:
        Settings.from_environment({"WENJU_LIBRARY": "milvus://root:hidden@db"})
    assert "hidden" not in refused.value.english + str(refused.value)


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
        ("STRICT", "yes"),
        ("LLM_CONNECT_S", "0"),
        ("LLM_FIRST_TOKEN_S", "inf"),
        ("LLM_TOTAL_S", "soon"),
        ("LLM_MAX_TOKENS", "0"),
        ("LLM_CONTEXT", "511"),
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
        ("strict", 1),
        ("llm_base_url", 5),
        ("llm_model", ""),
        ("llm_api_key", 5),
        ("llm_headers", ["X-Team"]),
        ("llm_headers", {"X-Team": 5}),
        ("llm_headers", {"X Team": "a"}),
        ("llm_proxy", "proxy:3128"),
        ("llm_verify", 1),
        ("llm_connect_s", "1"),
        ("llm_first_token_s", float("nan")),
        ("llm_total_s", -1),
        ("llm_max_tokens", 1.5),
        ("llm_context", "4096"),
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
