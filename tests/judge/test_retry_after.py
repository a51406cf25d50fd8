from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.providers.retry_after import retry_after

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Tue, 01 Jan 2030 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 01 Jan 2030 14:00:30 +0200"}, 30.0),
        ({"retry-after": "Tue, 01 Jan 2030 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Tue, 01 Jan 2030 11:00:00 GMT"}, 0.0),
        ({"retry-after": "86400"}, 3600.0),
        ({"retry-after-ms": "86400000"}, 3600.0),
        ({"retry-after": "Wed, 02 Jan 2030 12:00:00 GMT"}, 3600.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Mon, 99 Foo 2030 12:00:00 GMT"}, None),
        ({"retry-after": "Mon, 1 Jan 99999999999999999999 00:00:00 GMT"}, None),
    ],
)
def test_the_wait_that_is_named(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(st.text(), st.text())
def test_any_header_names_a_wait_within_bounds_or_none(milliseconds: str, value: str) -> None:
    found = retry_after({"retry-after-ms": milliseconds, "retry-after": value}, NOW)
    assert found is None or 0 <= found <= 3600
