"""A judge on loopback, in several dialects: deterministic verdicts, faults on demand, and a record of calls.

    python tests/stub_judge.py --port 0 --latency-ms 200

A verdict is made from the JSON schema in the request (structured output, forced tool, or written in the prompt). Each
value is fixed by a hash of its path in the schema and of the prompt's matches of --seed-regex (of all the prompt
without one), so that equal work gets equal verdicts in any order. Log probabilities are given where they are asked for.

    POST /v1/chat/completions    POST /v1/responses    POST /v1/messages
    batches: stub/batches.py    answers kept: stub/stored.py
    GET /stats    GET /calls    POST /behave    POST /reset (all as at the start)

Faults are drawn for each request from --fault-seed: --rate-429 (with --retry-after), --rate-500, --rate-truncated (half
the text), --rate-badbody (a whole HTTP reply with half the JSON body), --rate-reset (after the request was read).
With --latency-max-ms the latency is uniform from --latency-ms to there; above --rpm or --max-concurrency comes a 429.

Standard library only.
"""

from __future__ import annotations

import asyncio

from stub.judge import StubJudge
from stub.server import options, serve

if __name__ == "__main__":
    asyncio.run(serve(StubJudge(options(__doc__))))
