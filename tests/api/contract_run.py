"""Runs schemathesis over the whole document against a running API: `python -m tests.api.contract_run [SECONDS]`.

It does not check that refused bodies, unknown methods and forbidden data are answered with an error status, because the
dialect answers them with status 200 and an error in the envelope.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from onebyone.api import metrics
from onebyone.api.openapi import examples
from tests.support import process_guard
from tests.support.api_client import ApiClient
from tests.support.api_harness import PASSWORD
from tests.support.running_api import running_api

ROOT = Path(__file__).parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
_OWNERS = {
    **dict.fromkeys(("insertion-order", "line-item", "imptracker", "clicktracker"), "advertiser_id"),
    **dict.fromkeys(("site", "placement", "payment-rule"), "publisher_id"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit code and output of a run, and how often each service answered `OK` or an error id."""

    code: int
    output: str
    answers: Counter[tuple[str, str]]


def run(folder: Path, *, phases: str, cases: int, seconds: int) -> Outcome:
    """Run for at most `seconds`, with up to `cases` an operation, which are the same every time."""
    with running_api(folder) as url:
        client = ApiClient(url, "admin", PASSWORD)
        _populate(client)
        token = client.http.headers["Authorization"]
        client.close()
        before = _answers()
        command = [
            *(str(Path(sys.executable).with_name("st")), "run", f"{url}/openapi.json"),
            *("--header", f"Authorization: {token}", "--checks", ",".join(CHECKS), "--phases", phases),
            *("--exclude-operation-id", "logOut"),
            *("--max-examples", str(cases), "--max-time", str(seconds), "--generation-deterministic"),
            *(
                "--request-timeout",
                "60",
                "--continue-on-failure",
                "--no-color",
                "--warnings",
                "off",
                "--suppress-health-check",
                "all",
            ),
        ]
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.api.contract_hooks", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=seconds + 60
        )
        return Outcome(done.returncode, done.stdout + done.stderr, _answers() - before)


def _populate(client: ApiClient) -> None:
    """Create two objects of each kind, so that generated ids find something."""
    for number in (1, 2):
        for service, sample in examples.CREATE.items():
            fields = dict(sample)
            if "code" in fields or service == "user":
                fields |= {"code": f"C{number}"} if "code" in fields else {"username": f"user{number}"}
            owner = {_OWNERS[service]: 1} if service in _OWNERS else {}
            client.create(service, fields, **owner)


def _answers() -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for family in metrics.REQUESTS.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                found[sample.labels["service"], sample.labels["outcome"]] += int(sample.value)
    return found


def main() -> int:
    """Run for long and return the exit code of schemathesis."""
    process_guard.begin()
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), phases="examples,coverage,fuzzing,stateful", cases=100, seconds=seconds)
    print(found.output)
    for (service, outcome), count in sorted(found.answers.items()):
        print(f"{service:18} {outcome:16} {count:6}")
    return found.code


if __name__ == "__main__":
    sys.exit(main())
