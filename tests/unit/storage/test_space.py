from __future__ import annotations

import errno

import pytest

from longscroll.errors import StorageFull
from longscroll.storage.space import needing_space


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_full_quota_are_storage_full(number: int) -> None:
    with pytest.raises(StorageFull, match=r"^No space is left to keep the draft\.$"), needing_space("keep the draft"):
        raise OSError(number, "full")


def test_any_other_error_stays_what_it_is() -> None:
    with pytest.raises(PermissionError), needing_space("keep the draft"):
        raise PermissionError
