"""Keeps pandas out of a process that stores and serves: pyarrow would load it at its first conversion."""

from __future__ import annotations

import sys


def refuse_pandas() -> None:
    """From now on pandas cannot be imported here.

    pyarrow imports it to see whether it is handed some. A server or worker never hands it any, and would stand still
    for a second in the middle of somebody's request.
    """
    sys.meta_path.insert(0, _WithoutPandas)


class _WithoutPandas:
    """An import hook."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("the server does without pandas", name=name)
