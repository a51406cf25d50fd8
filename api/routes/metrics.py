"""`GET /metrics`"""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from api.desk import TO_MEASURE
from api.openapi import problems
from api.problems import ACCESS, STORE_UNAVAILABLE

router = APIRouter(tags=["metrics"])

EXAMPLE = """\
# HELP judge_grades_total Items that were graded, by outcome.
# TYPE judge_grades_total counter
judge_grades_total{judge="simulated",outcome="scored"} 48.0
"""


@router.get(
    "/metrics",
    dependencies=[TO_MEASURE],
    response_class=Response,
    responses={
        200: {
            "description": "The figures, in the format that is asked for.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": EXAMPLE}},
        },
        **problems(*ACCESS, STORE_UNAVAILABLE),
    },
)
def read_metrics(request: Request) -> Response:
    """Figures for Prometheus: of this process since it started, and of what waits to be graded."""
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.state.metrics.registry), headers={"Content-Type": media_type})
