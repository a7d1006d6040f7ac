"""`headrace models serve` and `headrace models predict`: a model answers over HTTP, or for files."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import click
from headrace.sdk.cli.output import Failed
from headrace.sdk.cli.server import require
from headrace.sdk.serving import threads

SERVER_PACKAGES = ("uvicorn", "httptools")


@click.command()
@click.option(
    "-m", "--model-uri", required=True, help="runs:/…, models:/NAME/VERSION, models:/NAME@ALIAS, or a folder."
)
@click.option("-h", "--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="0 takes a free one."
)
@click.option("-w", "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes.")
@click.option(
    "-t", "--timeout", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
    help="Seconds until a request is answered 504.",
)  # fmt: skip
@click.option(
    "--env-manager", type=click.Choice(["local", "uv", "virtualenv", "conda"]), default="local", show_default=True,
    help="Where the model runs: local is this environment; any other is one that uv makes of what the model requires.",
)  # fmt: skip
@click.option("--no-conda", is_flag=True, help="As MLflow takes it: the same as --env-manager local.")
@click.option("--install-mlflow", is_flag=True, help="As MLflow takes it; nothing here needs MLflow, so it is ignored.")
@click.option("--name", default="model", show_default=True, help="The model's name below /v2/models.")
@click.option("--version", default="1", show_default=True, help="The model's version below /v2/models.")
@click.option(
    "--batching/--no-batching", default=None, help="Stack the rows of requests; default: by the model's kind."
)
@click.option("--batch-rows-max", type=click.IntRange(1), default=4096, show_default=True, help="Rows in a batch.")
@click.option(
    "--batch-latency-ms", type=click.FloatRange(0), default=20.0, show_default=True,
    help="How long a batch may take; batches shrink until they do.",
)  # fmt: skip
@click.option(
    "--batch-wait-ms", type=click.FloatRange(0), default=0.0, show_default=True,
    help="How long the first of a batch waits for others.",
)  # fmt: skip
@click.option(
    "--queue-max", type=click.IntRange(1), default=1024, show_default=True, help="Waiting requests until 429."
)
@click.option("--body-bytes-max", type=click.IntRange(1), default=64 << 20, show_default=True, help="A body until 413.")
def serve(**given: Any) -> None:
    """Serve a model over HTTP: MLflow's /invocations, and the Open Inference Protocol below /v2.

    One line on stdout says when it is ready, and where. Ctrl-C or SIGTERM ends it.
    """
    require("server", SERVER_PACKAGES, "serving a model")
    if given["install_mlflow"]:
        click.echo("--install-mlflow: nothing here needs MLflow; it is ignored", err=True)
    threads.modest()
    server = importlib.import_module("headrace.sdk.serving.server")
    batching = importlib.import_module("headrace.sdk.serving.batching")
    limits = batching.Limits(
        body_bytes_max=given["body_bytes_max"],
        queue_requests_max=given["queue_max"],
        timeout_s=given["timeout"],
        batch_rows_max=given["batch_rows_max"],
        batch_latency_s=given["batch_latency_ms"] / 1000,
        batch_wait_s=given["batch_wait_ms"] / 1000,
    )
    uri = given["model_uri"]

    def on_ready(url: str) -> None:
        click.echo(f"Headrace serves {uri} on {url}/invocations")

    try:
        if given["env_manager"] == "local" or given["no_conda"]:
            serving = server.Serving(uri, given["name"], given["version"], limits, given["batching"])
            server.serve(serving, given["host"], given["port"], given["workers"], on_ready)
        else:
            if given["workers"] > 1:
                raise Failed("one process serves with --env-manager uv; leave out --workers, or say local")
            server.serve_app(
                _apart(uri, given["name"], given["version"], limits), given["host"], given["port"], on_ready
            )
    except server.CannotServe as error:
        raise Failed(str(error)) from error
    except OSError as error:
        raise Failed(f"cannot serve on {given['host']}:{given['port']}: {error}") from error
    except (ValueError, ImportError) as error:
        raise Failed(f"cannot load {uri}: {error}") from error


def _apart(uri: str, name: str, version: str, limits: Any) -> Any:
    """The application of a model in an environment of its own."""
    require("server", ("fastapi",), "an environment for the model")
    apart = importlib.import_module("headrace.api.serving.apart")
    asgi = importlib.import_module("headrace.sdk.serving.asgi")
    places = importlib.import_module("headrace.sdk.models.places")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace" / "environments"
    return asgi.ScoringApp(apart.ScorerApart(Path(places.local_folder(uri)), name, version, limits, cache))


@click.command()
@click.option(
    "-m", "--model-uri", required=True, help="runs:/…, models:/NAME/VERSION, models:/NAME@ALIAS, or a folder."
)
@click.option(
    "-i", "--input-path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="[default: stdin]"
)
@click.option("-o", "--output-path", type=click.Path(dir_okay=False, path_type=Path), help="[default: stdout]")
@click.option(
    "-t", "--content-type", type=click.Choice(["json", "csv", "parquet", "arrow"]),
    help="What the input is.  [default: by its name's end, else json]",
)  # fmt: skip
@click.option(
    "--batch-rows", type=click.IntRange(1), default=65_536, show_default=True, help="Rows predicted at a time."
)
@click.option(
    "--env-manager", type=click.Choice(["local"]), default="local", show_default=True, help="As of models serve."
)
@click.option("--no-conda", is_flag=True, help="As MLflow takes it: the same as --env-manager local.")
@click.option("--install-mlflow", is_flag=True, help="As MLflow takes it; it is ignored.")
def predict(**given: Any) -> None:
    """Predict a file: JSON (a body of /invocations), CSV with a header, Parquet, or an Arrow stream.

    What is written follows the output's name: .parquet, .arrow, .csv, and else JSON. All but JSON input is read,
    predicted and written in batches, so memory does not grow with the file.
    """
    files = importlib.import_module("headrace.sdk.serving.files")
    try:
        rows = files.predict_file(
            given["model_uri"], given["input_path"], given["output_path"], given["content_type"], given["batch_rows"]
        )
    except files.CannotPredict as error:
        raise Failed(str(error)) from error
    except (ValueError, ImportError, OSError) as error:
        raise Failed(f"cannot predict with {given['model_uri']}: {error}") from error
    if given["output_path"] is not None:
        click.echo(f"{rows} rows predicted into {given['output_path']}")


COMMANDS = (serve, predict)
