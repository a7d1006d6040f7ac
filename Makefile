.PHONY: check test lint types bench run

check: lint types test

lint:
	uv run ruff check .
	uv run ruff format --check .

types:
	uv run mypy

test:
	uv run pytest -n 2

bench:
	uv run python -m benchmarks.run

run:
	uv run --extra server headrace server
