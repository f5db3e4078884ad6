from __future__ import annotations

import pytest

from factories.evidences import passage
from longscroll.reading.support import Support, fold

TEXT = "Overview\nTesla’s coil was ﬁrst shown in 1891. It reached\n100 kHz! 他于１９４３年一月七日在纽约去世。"


@pytest.mark.parametrize(
    ("claim", "supported"),
    [
        ("The coil, shown in 1891, was a success", "Tesla’s coil was ﬁrst shown in 1891."),
        ("It says “reached 100 khz”", "reached\n100 kHz"),
        ("Tesla's coil was first shown", "Tesla’s coil was ﬁrst shown"),
        ("他去世于1943年一月七日", "他于１９４３年一月七日在纽约去世。"),
        ("**1943年一月七日**", "１９４３年一月七日"),
        ("Something else entirely", "Tesla’s coil was ﬁrst shown in 1891."),
        ("", "Tesla’s coil was ﬁrst shown in 1891."),
    ],
)
def test_a_claim_is_supported_by_its_own_words_or_the_closest_sentence(claim: str, supported: str) -> None:
    start, stop = Support(passage(TEXT, start=7)).span_for(claim)
    assert TEXT[start - 7 : stop - 7] == supported


def test_folded_letters_know_where_they_stood() -> None:
    letters, places = fold("Ａ ﬁ\nB")
    assert letters == "afib"
    assert places == [0, 2, 2, 4]
