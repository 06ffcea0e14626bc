"""The rank of the right class for each test picture, kept beside a run's card to compare runs on the same pictures."""

import io

import numpy as np

LARGEST = 255  # a rank is kept in a byte
AGAIN = (
    "Take it from the repository again; or, in a run's folder, remove card.json beside it, and the call of train that "
    "made the run writes both again."
)


def pack_ranks(ranks):
    """The bytes of ranks.npy: (N,) uint8, 0 where the right class came first, 255 also for all above."""
    packed = io.BytesIO()
    np.save(packed, np.minimum(ranks, LARGEST).astype("uint8"))
    return packed.getvalue()


def read_ranks(path):
    """(N,) uint8 ranks; OSError if there are none, ValueError if the file holds anything else."""
    try:
        ranks = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} does not hold ranks ({error}). {AGAIN}") from error
    if getattr(ranks, "dtype", None) != np.uint8 or ranks.ndim != 1 or len(ranks) == 0:
        raise ValueError(f"{path} does not hold ranks: one byte for each test picture. {AGAIN}")
    return ranks
