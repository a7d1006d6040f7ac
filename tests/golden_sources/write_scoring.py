"""Writes what stock MLflow's scoring server answers the bodies of tests/scoring_corpus.py.

    cd ROOT && PYTHONHASHSEED=0 PYTHONPATH=. tests/.envs/mlflow-3.17.2/bin/python tests/golden_sources/write_scoring.py

Each answer goes to scoring.json beside this file: its status, its content type, and its JSON, or its text.
"""

import asyncio
import json
import logging
import warnings
from pathlib import Path

from mlflow import __version__
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel, scoring_server

from tests import scoring_corpus as corpus

GOLDEN = Path(__file__).with_name("scoring.json")


class Describing:
    """Describes what it is given."""

    def predict(self, model_input, params=None):
        return corpus.describe(model_input, params)


class Answering:
    """Predicts what it is asked for."""

    def predict(self, model_input, params=None):
        return corpus.answer(model_input["input"] if isinstance(model_input, dict) else str(model_input))


def server(name, signature):
    metadata = Model()
    metadata.add_flavor("python_function", loader_module="corpus")
    if signature is not None:
        metadata.signature = ModelSignature.from_dict({key: json.dumps(value) for key, value in signature.items()})
    return scoring_server.init(PyFuncModel(metadata, Answering() if name == "answers" else Describing()))


async def ask(app, case):
    headers = [] if case.content_type is None else [(b"content-type", case.content_type.encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/invocations",
        "raw_path": b"/invocations",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    messages = []
    waiting = [{"type": "http.request", "body": case.body, "more_body": False}]

    async def receive():
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message):
        messages.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:  # Starlette raises it again once it has answered 500.
        print(f"{case.name}: {type(error).__name__}: {error}"[:200])
    body = b"".join(message.get("body", b"") for message in messages[1:])
    content_type = dict(messages[0]["headers"]).get(b"content-type", b"").decode()
    answer = {"status": messages[0]["status"], "content_type": content_type}
    try:
        answer["json"] = json.loads(body)
        if "stack_trace" in answer["json"]:
            answer["json"]["stack_trace"] = "…"
        if "message" in answer["json"]:
            answer["json"]["message"] = answer["json"]["message"][:200]
    except (ValueError, TypeError):
        answer["text"] = body.decode(errors="replace")[:200]
    return answer


async def main():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    apps = {name: server(name, signature) for name, signature in corpus.MODELS.items()}
    answers = {case.name: await ask(apps[case.model], case) for case in corpus.cases()}
    kept = {"mlflow": __version__, "answers": answers}
    GOLDEN.write_text(json.dumps(kept, indent=0, ensure_ascii=True, sort_keys=True) + "\n", encoding="utf-8")
    print(len(answers), "answers")


asyncio.run(main())
