"""One tree of options: defaults, file, environment, command line, in that order."""

from __future__ import annotations

from pathlib import Path

import pytest

from longscroll.config import Config, load_config
from longscroll.errors import ConfigError

TOML = """
[server]
port = 7400

[[upstream]]
name = "gpu"
urls = ["http://127.0.0.1:8000/v1"]
kind = "vllm"
api_key_env = "GPU_KEY"

[[model]]
name = "qwen-long"
engine = "upstream"
upstream = "gpu"
served_name = "Qwen/Qwen3-8B"
context_window = 131072
"""


def load(
    tmp_path: Path, toml: str = "", overrides: dict[str, dict[str, object]] | None = None, **variables: str
) -> Config:
    path = tmp_path / "longscroll.toml"
    path.write_text(toml)
    return load_config(path, overrides=overrides, environment={"HOME": "/home/u", **variables})


def test_nothing_configured_gives_the_documented_defaults(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert (config.server.host, config.server.port) == ("127.0.0.1", 7300)
    assert config.data_dir == Path("/home/u/.local/share/longscroll")
    assert (config.compat.parse_wait_s, config.files.max_files, config.api_key) == (240, 10_000, None)


def test_variables_stand_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    assert load(tmp_path, TOML, LONGSCROLL_SERVER__PORT="7500").server.port == 7500
    assert load(tmp_path, TOML, {"server": {"port": 7600}}, LONGSCROLL_SERVER__PORT="7500").server.port == 7600


def test_a_model_server_is_read_with_its_key_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_KEY", "secret")
    options = load(tmp_path, TOML).upstream_options()["gpu"]
    assert (options.urls, options.kind) == (("http://127.0.0.1:8000/v1",), "vllm")
    assert "secret" not in repr(options)


def test_a_missing_upstream_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPU_KEY", raising=False)
    with pytest.raises(ConfigError, match="GPU_KEY"):
        load(tmp_path, TOML).upstream_options()


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[server]\nprot = 1", "prot"),
        ("[sever]\nport = 1", "sever"),
        ("[server]\nport = 'x'", "port"),
        ("[[model]]\nname = 'a'\nengine = 'magic'", "engine"),
        ("port = ", "TOML"),
        ('api_key = "sk-1"', "LONGSCROLL_API_KEY"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, toml: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load(tmp_path, toml)


def test_the_first_key_comes_from_the_environment_only(tmp_path: Path) -> None:
    assert load(tmp_path, LONGSCROLL_API_KEY="sk-mine").api_key == "sk-mine"


def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "absent.toml", environment={})


@pytest.mark.item(128)
def test_origins_are_those_that_browsers_send(tmp_path: Path) -> None:
    origins = ["https://app.example", "http://localhost:5173", "*"]
    config = load(tmp_path, f"[server]\ncors_origins = {origins}")
    assert config.server.cors_origins == tuple(origins)


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/", "https://app.example/page", "null", ""])
def test_what_is_no_origin_is_refused(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match="cors_origins: expected"):
        load(tmp_path, f'[server]\ncors_origins = ["{origin}"]')
