"""Views URLs: what they say, and what is said of a wrong one."""

from __future__ import annotations

import pytest
from headrace.processors.views_url import BadViewsUrl, ViewsUrl, is_views_url, parse_views_url


def test_what_a_url_leaves_out_is_ClickHouses_default() -> None:
    assert parse_views_url("clickhouse://host") == ViewsUrl("host", 8123, "headrace", "default", "")
    assert parse_views_url("clickhouse://host/?secure=1").port == 8443


def test_a_url_says_everything() -> None:
    url = "clickhouse://a%40b:p%3A%2F%40@[::1]:9/the%20db?cluster=c&sharded=1&secure=true&verify=0&read_timeout_s=0.5"
    assert parse_views_url(url) == ViewsUrl(
        "::1", 9, "the db", "a@b", "p:/@", "c", sharded=True, secure=True, verify=False, read_timeout_s=0.5
    )


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "write clickhouse://host/database"),
        ("http://host/db", "begins with http://; write clickhouse://host/database"),
        ("clickhouse:///db", "names no host"),
        ("clickhouse://host:x/db", "cannot be read"),
        ("clickhouse://host:99999/db", "cannot be read"),
        ("clickhouse://host/a/b", "a database's name has no slash"),
        ("clickhouse://host/db?clutser=c", "unknown option 'clutser'; known are cluster, sharded"),
        ("clickhouse://host/db?secure=yes", "write secure=1 or secure=0"),
        ("clickhouse://host/db?sharded=1", "add cluster=NAME"),
        ("clickhouse://host/db?read_timeout_s=-1", "a number of seconds"),
        ("clickhouse://host/db?connect_timeout_s=nan", "a number of seconds"),
    ],
)
def test_a_wrong_url_is_told_what_would_be_right(url: str, what: str) -> None:
    with pytest.raises(BadViewsUrl, match=what.replace("?", r"\?")):
        parse_views_url(url)


def test_a_url_that_is_shown_is_the_same_place_without_the_password() -> None:
    url = parse_views_url("clickhouse://bob:secret@[::1]:9/the%20db?cluster=c&sharded=1&secure=1")
    assert "secret" not in f"{url} {url!r}"
    shown = parse_views_url(str(url))
    assert (shown.server, shown.target, shown.user) == (url.server, url.target, "bob")


def test_a_folder_is_no_url() -> None:
    assert not is_views_url("/srv/headrace/views")
    assert is_views_url("clickhouse://host")
