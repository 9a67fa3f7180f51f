"""What tasks ask for: amounts as numbers, memory as text."""

from __future__ import annotations

from typing import Any

import pytest

from shoal._base.resources import offered, requested_amounts


def test_memory_may_be_a_text() -> None:
    assert requested_amounts({"memory": "4 GiB", "GPU": 1}) == {"memory": 4 * 2**30, "GPU": 1.0}
    assert requested_amounts({}) is requested_amounts(None) is None


@pytest.mark.parametrize("bad", ["4 XB", None, -1, float("nan"), "", {}])
def test_what_is_no_amount_is_refused_by_name(bad: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"resources.*memory"):
        requested_amounts({"memory": bad})


def test_a_worker_offers_its_memory_unless_its_user_says_otherwise() -> None:
    assert offered({"GPU": 1}, 0) == {"GPU": 1}
    assert offered({}, 10) == {"memory": 10}
    assert offered({"memory": 3}, 10) == {"memory": 3}
