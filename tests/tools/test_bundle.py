"""Bundles: what a broken or hostile one is called, and what a good one gives."""

import pytest

from gateway.errors import HostError
from tools.bundle.file import Bundle


@pytest.mark.produces("bad_bundle")
def test_what_is_no_bundle_is_refused_by_name(tmp_path):
    path = tmp_path / "jourdain.bundle"
    for data in (b"", b"PK", b"x" * 4096):
        path.write_bytes(data)
        with pytest.raises(HostError) as caught:
            Bundle(path)
        assert (caught.value.name, caught.value.where) == ("bad_bundle", str(path))
