"""Parsing the output of wrk."""

from __future__ import annotations

import pytest

from loadtests.bench import wrk

PRINTED = """Running 2s test @ http://127.0.0.1:8080
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms  801.85us  13.41ms   88.06%
    Req/Sec    66.05k     5.07k   72.43k    75.00%
  Latency Distribution
     50%  812.00us
     75%    1.30ms
     90%    1.97ms
     99%    {worst}
  {errors}131457 requests in 2.00s, 39.24MB read
Requests/sec:  65700.42
Transfer/sec:     19.61MB
"""


@pytest.mark.parametrize(
    ("worst", "milliseconds"), [("3.89ms", 3.89), ("950.00us", 0.95), ("1.20s", 1200.0), ("1.10m", 66_000.0)]
)
def test_figures(worst: str, milliseconds: float) -> None:
    found = wrk.parse_output(PRINTED.format(worst=worst, errors=""))
    assert (found.requests, found.rate, found.errors) == (131_457, 65_700.42, 0)
    assert (found.p50_ms, found.p99_ms) == pytest.approx((0.812, milliseconds))


def test_errors_are_counted() -> None:
    errors = "Socket errors: connect 1, read 20, write 300, timeout 4000\n  "
    assert wrk.parse_output(PRINTED.format(worst="1.00ms", errors=errors)).errors == 4321


@pytest.mark.parametrize(
    "output", [PRINTED.format(worst="1.00ms", errors="") + "  Non-2xx or 3xx responses: 12\n", "unable to connect"]
)
def test_output_without_good_answers_is_refused(output: str) -> None:
    with pytest.raises(wrk.Failed):
        wrk.parse_output(output)
