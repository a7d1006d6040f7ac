"""Where a command's settings come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace.sdk.cli.output import Failed
from headrace.sdk.cli.server import require, settings_with_file
from headrace.sdk.cli.target import Target
from headrace.sdk.settings import BadSetting

KNOWN = {"host": str, "port": int, "data_dir": Path}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "headrace").mkdir()
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def write(environ: dict[str, str], text: str) -> None:
    (Path(environ["XDG_CONFIG_HOME"]) / "headrace" / "config.toml").write_text(text)


def test_the_flag_wins_over_the_variable_over_the_file(environ: dict[str, str]) -> None:
    write(environ, '[server]\nhost = "file"\nport = 1\ndata_dir = "d"\n')
    given = {"host": "flag", "port": None, "data_dir": None}
    found = settings_with_file(given, KNOWN, {**environ, "HEADRACE_PORT": "2"})
    assert found == {"host": "flag", "port": None, "data_dir": Path("d")}, "the variable is the server's to read"


@pytest.mark.parametrize(
    ("text", "says"),
    [("[server]\nprot = 1\n", "prot"), ('[server]\nport = "x"\n', "port"), ("server = 1\n", "table"), ("=", "TOML")],
)
def test_a_mistake_in_the_file_is_named(environ: dict[str, str], text: str, says: str) -> None:
    write(environ, text)
    with pytest.raises(BadSetting, match=says):
        settings_with_file({}, KNOWN, environ)


def test_who_named_the_tracking_uri(environ: dict[str, str]) -> None:
    assert Target().origin(environ) == "default"
    write(environ, 'tracking_uri = "x"\n')
    assert Target().origin(environ).endswith("config.toml")
    environ["MLFLOW_TRACKING_URI"] = "x"
    assert Target().origin(environ) == "MLFLOW_TRACKING_URI"
    environ["HEADRACE_TRACKING_URI"] = "x"
    assert Target().origin(environ) == "HEADRACE_TRACKING_URI"
    assert Target("x").origin(environ) == "--tracking-uri"


def test_a_missing_extra_says_what_to_install() -> None:
    require("server", ("json",), "the server")
    with pytest.raises(Failed, match=r'pip install "headrace\[server\]"'):
        require("server", ("json", "no_such_package"), "the server")
