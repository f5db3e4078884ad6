from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longscroll.storage.base import blob_prefix
from longscroll.storage.names import check_deletable, check_listable, check_name

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)
NASTY = st.text(st.sampled_from("w/f.a_-\\%\n\0 é"), max_size=12)


@given(IDS, IDS)
def test_everything_under_the_prefix_of_a_file_is_a_name(workspace: str, file_id: str) -> None:
    prefix = blob_prefix(workspace, file_id)
    assert check_name(prefix + "pages/1.2.png") == prefix + "pages/1.2.png"
    assert check_deletable(prefix) == check_listable(prefix) == prefix


@given(NASTY)
def test_what_passes_has_no_way_out_of_the_folder_of_its_file(name: str) -> None:
    try:
        check_name(f"w/acme/f/file-fe-1/{name}")
    except ValueError:
        return
    assert all(part.strip(".") == part and part for part in name.split("/"))


@pytest.mark.parametrize("name", ["w/acme/f/x/a\n", "w/acme/f/x/a..b", "w/acme/f/x/.a", "w/a.b/f/x/a", "W/a/f/x/a"])
def test_names_that_look_almost_right_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="does not name a blob"):
        check_name(name)


@pytest.mark.parametrize("prefix", ["", "/", "w", "w/acme", "w/acme/f/", "x/"])
def test_what_is_no_prefix_cannot_be_listed(prefix: str) -> None:
    with pytest.raises(ValueError, match="does not name a prefix"):
        check_listable(prefix)
