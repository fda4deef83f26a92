"""The hash of a content that passes in pieces."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from store_on_upload.files.source import Digest


@given(content=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_digest(content: bytes, cuts: list[int]) -> None:
    """A content's hash and size do not depend on the chunks that it comes in."""
    digest = Digest()
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for start, end in pairwise(edges):
        digest.update(content[start:end])
    assert (digest.size, digest.sha256) == (len(content), sha256(content).hexdigest())
