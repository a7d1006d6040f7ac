from __future__ import annotations

from pathlib import Path

import pytest
from headrace.sdk.settings import DEFAULT_TRACKING_URI, BadSetting, resolve
from headrace.sdk.transport import check_target, shown


def test_an_argument_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    (tmp_path / "headrace").mkdir()
    (tmp_path / "headrace" / "config.toml").write_text('tracking_uri = "http://file:1"\nflush_interval_s = 3')
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert resolve({}, environ).tracking_uri == "http://file:1"
    assert resolve({}, environ).flush_interval_s == 3.0
    environ["MLFLOW_TRACKING_URI"] = "http://mlflow:1"
    assert resolve({}, environ).tracking_uri == "http://mlflow:1"
    environ["HEADRACE_TRACKING_URI"] = "http://ours:1"
    assert resolve({}, environ).tracking_uri == "http://ours:1"
    assert resolve({"tracking_uri": "http://argument:1"}, environ).tracking_uri == "http://argument:1"
    assert resolve({}, {"XDG_CONFIG_HOME": str(tmp_path / "none")}).tracking_uri == DEFAULT_TRACKING_URI


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flush_interval_s", "often"),
        ("flush_interval_s", 0),
        ("buffer_points_max", -1),
        ("offline", "maybe"),
        ("no", 1),
    ],
)
def test_a_setting_that_cannot_be_used_is_an_error_that_names_it(name: str, value: object) -> None:
    with pytest.raises(BadSetting, match=name):
        resolve({name: value}, {})


@pytest.mark.parametrize("text", ["1", "true", "YES", "on"])
def test_booleans_are_read_from_words(text: str) -> None:
    assert resolve({}, {"HEADRACE_OFFLINE": text}).offline


def test_a_target_is_a_server_or_a_folder_or_a_log_on_kafka() -> None:
    assert check_target("http://host:5000/") == "http://host:5000"
    assert check_target("file:///data/a%20b") == "/data/a b"
    assert check_target("runs") == str(Path("runs").absolute())
    assert check_target("kafka://a,b:1?linger.ms=5") == "kafka://a:9092,b:1/headrace?linger.ms=5"
    with pytest.raises(BadSetting, match="is no broker"):
        check_target("kafka://")
    with pytest.raises(BadSetting, match="unknown scheme"):
        check_target("ftp://host/x")


def test_messages_show_no_property_of_a_kafka_target() -> None:
    assert shown(check_target("kafka://a?sasl.password=hush")) == "kafka://a:9092/headrace"
    assert shown("http://host/?x=1") == "http://host/?x=1"


def test_artifacts_go_to_a_server() -> None:
    assert resolve({"artifacts_uri": "http://host:5000/"}, {}).artifacts_uri == "http://host:5000"
    with pytest.raises(BadSetting, match="artifacts_uri"):
        resolve({"artifacts_uri": "/folder"}, {})
