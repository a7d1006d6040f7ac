"""URLs of logs on Kafka, and the file of properties beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace.ingest.kafka_settings import CONFIG_VARIABLE, KafkaSettings, is_kafka, parse
from headrace.ingest.log import LogError


@pytest.mark.parametrize(
    ("url", "bootstrap", "prefix"),
    [
        ("kafka://host", "host:9092", "headrace"),
        ("kafka://host:9093/", "host:9093", "headrace"),
        ("kafka://a:1,b.example.org,[::1]:3/team-1.ml", "a:1,b.example.org:9092,[::1]:3", "team-1.ml"),
        ("KAFKA://host/x", "host:9092", "x"),
    ],
)
def test_a_url_names_brokers_and_a_prefix(url: str, bootstrap: str, prefix: str) -> None:
    assert parse(url, {}) == KafkaSettings(bootstrap, prefix)


def test_topics_and_the_group_begin_with_the_prefix() -> None:
    settings = parse("kafka://host/team", {})
    assert (settings.topic("runs"), settings.group) == ("team.runs", "team.views")


def test_properties_follow_the_question_mark() -> None:
    settings = parse("kafka://host?sasl.username=u&sasl.password=p%26%23%3D+&linger.ms=", {})
    assert settings.properties == {"sasl.username": "u", "sasl.password": "p&#= ", "linger.ms": ""}


def test_the_urls_properties_rank_above_the_files(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# a comment\n\n sasl.username = ann \nsasl.password=a=b # c\nssl.ca.location=/ca\n")
    settings = parse("kafka://host?sasl.username=bob", {CONFIG_VARIABLE: str(file)})
    assert settings.properties == {"sasl.username": "bob", "sasl.password": "a=b # c", "ssl.ca.location": "/ca"}


def test_neither_the_name_nor_a_printed_setting_shows_a_property() -> None:
    settings = parse("kafka://host:1/p?sasl.password=hush", {})
    assert settings.name == "kafka://host:1/p"
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://host", "write kafka://host:9092"),
        ("kafka:host", "write kafka://host:9092"),
        ("kafka://", "is no broker"),
        ("kafka:///prefix", "is no broker"),
        ("kafka://a,,b", "is no broker"),
        ("kafka://a:port", "is no broker"),
        ("kafka://a:0", "is no broker"),
        ("kafka://a:70000", "is no broker"),
        ("kafka://[::1", "is no broker|no URL"),
        ("kafka://user:hush@host", "sasl.username"),
        ("kafka://host/a/b", "letters, digits"),
        ("kafka://host/..", "letters, digits"),
        ("kafka://host/" + "x" * 300, "letters, digits"),
        ("kafka://host?hush", "property=value"),
        ("kafka://host?a=hush#b", "%23"),
        ("kafka://host?acks=1", "acks, which Headrace sets itself"),
        ("kafka://host?bootstrap.servers=hush", "named in the URL"),
        ("kafka://host?error_cb=hush", "no property"),
    ],
)
def test_a_wrong_url_says_what_to_write_and_shows_no_secret(url: str, says: str) -> None:
    with pytest.raises(LogError, match=says) as caught:
        parse(url, {})
    assert "hush" not in str(caught.value)


def test_a_file_that_cannot_be_read_or_is_no_list_of_properties_says_so(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be read"):
        parse("kafka://host", {CONFIG_VARIABLE: str(tmp_path / "none")})
    (tmp_path / "file").write_text("a=1\nhush\n")
    with pytest.raises(LogError, match=r"line 2: write property=value") as caught:
        parse("kafka://host", {CONFIG_VARIABLE: str(tmp_path / "file")})
    assert "hush" not in str(caught.value)


def test_what_the_promises_rest_on_stands_above_what_a_user_sets_and_that_above_the_rest() -> None:
    settings = KafkaSettings("host:1", properties={"linger.ms": "7", "acks": "0"})
    client = settings.client(lambda error: None, linger_ms=1, acks="all", batch_size=5)
    assert (client["linger.ms"], client["acks"], client["batch.size"]) == ("7", "all", 5)
    assert client["bootstrap.servers"] == "host:1"


def test_only_kafka_urls_are_kafka_urls() -> None:
    assert is_kafka("kafka://x")
    assert is_kafka("kafka:x")
    assert not is_kafka("kafka")
    assert not is_kafka("http://kafka:9092")
