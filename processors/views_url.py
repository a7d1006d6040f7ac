"""The views URL of a ClickHouse server: `clickhouse://[user[:password]@]host[:port]/[database]?option=value&...`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from headrace.processors.schema import Target

SCHEME = "clickhouse"
DEFAULT_DATABASE = "headrace"
HTTP_PORT, HTTPS_PORT = 8123, 8443
CONNECT_TIMEOUT_S, READ_TIMEOUT_S, INSERT_TIMEOUT_S = 2.0, 30.0, 120.0
OPTIONS = (
    "cluster",
    "sharded",
    "secure",
    "verify",
    "ca_cert",
    "connect_timeout_s",
    "read_timeout_s",
    "insert_timeout_s",
)


class BadViewsUrl(ValueError):
    """A views URL that cannot be read; the message says what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class ViewsUrl:
    """A ClickHouse server, the database on it that holds the views, and how to talk to it.

    cluster, sharded: what the tables were made for. verify: whether the server's certificate is checked; ca_cert: a
    file of the authorities it is checked against, '' for the usual ones. Times in seconds.
    """

    host: str
    port: int = HTTP_PORT
    database: str = DEFAULT_DATABASE
    user: str = "default"
    password: str = field(default="", repr=False)
    cluster: str = ""
    sharded: bool = False
    secure: bool = False
    verify: bool = True
    ca_cert: str = ""
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S
    insert_timeout_s: float = INSERT_TIMEOUT_S

    @property
    def server(self) -> str:
        """Host and port, as messages name the server."""
        return f"{self.host}:{self.port}"

    @property
    def target(self) -> Target:
        """Where the tables are, or are made."""
        return Target(self.database, self.cluster, self.sharded)

    def on_cluster(self, cluster: str, sharded: bool) -> ViewsUrl:
        """The same, of tables that lie on a cluster ('' for none), over its shards or not. Raises BadViewsUrl."""
        if sharded and not cluster:
            raise BadViewsUrl("tables are sharded over a cluster, and none is named; add cluster=NAME to the views URL")
        return replace(self, cluster=cluster, sharded=sharded)

    def __str__(self) -> str:
        """The URL without the password: what messages may show, and a person may copy."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        host = f"{quote(self.user)}@{host}" if self.user != "default" else host
        options = [f"cluster={quote(self.cluster)}"] * bool(self.cluster) + ["sharded=1"] * self.sharded
        options += ["secure=1"] * self.secure
        return f"{SCHEME}://{host}:{self.port}/{quote(self.database)}" + ("?" + "&".join(options) if options else "")


def is_views_url(text: str) -> bool:
    """Whether this names a ClickHouse server, and not a folder."""
    return "://" in text


def parse_views_url(text: str) -> ViewsUrl:
    """Read a views URL. Raises BadViewsUrl."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadViewsUrl(f"the views URL cannot be read: {error}") from None
    if parts.scheme != SCHEME:
        raise BadViewsUrl(f"the views URL begins with {parts.scheme or 'nothing'}://; write {SCHEME}://host/database")
    if not parts.hostname:
        raise BadViewsUrl(f"the views URL names no host; write {SCHEME}://host/database")
    database = unquote(parts.path.strip("/")) or DEFAULT_DATABASE
    if "/" in database:
        raise BadViewsUrl(f"the views URL names the database {database!r}; a database's name has no slash")
    options = _options(parts.query)
    secure = _flag(options, "secure", False)
    found = ViewsUrl(
        host=parts.hostname,
        port=port or (HTTPS_PORT if secure else HTTP_PORT),
        database=database,
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        secure=secure,
        verify=_flag(options, "verify", True),
        ca_cert=options.get("ca_cert", ""),
        connect_timeout_s=_seconds(options, "connect_timeout_s", CONNECT_TIMEOUT_S),
        read_timeout_s=_seconds(options, "read_timeout_s", READ_TIMEOUT_S),
        insert_timeout_s=_seconds(options, "insert_timeout_s", INSERT_TIMEOUT_S),
    )
    return found.on_cluster(options.get("cluster", ""), _flag(options, "sharded", False))


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise BadViewsUrl(f"the views URL has an unknown option {unknown[0]!r}; known are {', '.join(OPTIONS)}")
    return options


def _flag(options: dict[str, str], name: str, default: bool) -> bool:
    value = options.get(name)
    if value is None:
        return default
    if value.lower() not in ("1", "0", "true", "false"):
        raise BadViewsUrl(f"the views URL has {name}={value}; write {name}=1 or {name}=0")
    return value.lower() in ("1", "true")


def _seconds(options: dict[str, str], name: str, default: float) -> float:
    try:
        seconds = float(options.get(name, default))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise BadViewsUrl(f"the views URL has {name}={options[name]}; write a number of seconds from 0 to 3600")
    return seconds
