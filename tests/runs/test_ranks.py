"""The ranks kept beside a card: read back as they were, or refused."""

import numpy as np
import pytest

from mixer_lib.runs.ranks import pack_ranks, read_ranks


def test_ranks_are_read_as_they_were_written_and_capped_at_a_byte(tmp_path):
    (tmp_path / "ranks.npy").write_bytes(pack_ranks(np.array([0, 7, 254, 255, 999])))
    assert read_ranks(tmp_path / "ranks.npy").tolist() == [0, 7, 254, 255, 255]


@pytest.mark.parametrize("content", [b"", b"rank", pack_ranks(np.zeros(0)), pack_ranks(np.zeros(3))[:-2]])
def test_whatever_else_a_file_holds_is_refused(tmp_path, content):
    (tmp_path / "ranks.npy").write_bytes(content)
    with pytest.raises(ValueError, match="ranks.npy does not hold ranks.*remove card.json beside it"):
        read_ranks(tmp_path / "ranks.npy")


def test_a_pickle_is_never_loaded(tmp_path):
    np.save(tmp_path / "ranks.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="does not hold ranks"):
        read_ranks(tmp_path / "ranks.npy")
