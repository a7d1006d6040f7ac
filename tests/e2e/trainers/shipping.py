"""`headrace sync DIR [TARGET]`, called from Python: prints what it did as JSON."""

import json
import sys

import headrace

report = headrace.sync(sys.argv[1], sys.argv[2] or None)
print(
    json.dumps(
        {
            "complete": report.complete,
            "events": report.events,
            "states": [writer.state for writer in report.writers],
            "errors": [writer.error for writer in report.writers if writer.error],
        }
    )
)
