"""Runs that the tests of this folder share: each process trains them once."""

import os
import shutil

import pytest
from small_runs import REQUESTED, TINY, small_digits

from mixer_lib import train


@pytest.fixture(scope="session")
def digits():
    return small_digits(54)  # 48 to train on: three steps of one size


@pytest.fixture(scope="session")
def moments(digits, tmp_path_factory):
    """A run, and copies of its folder before and after each of its files was put in place: what a kill leaves."""
    run_dir, copies = tmp_path_factory.mktemp("watched") / "run", tmp_path_factory.mktemp("moments")
    replace, taken = os.replace, []

    def watched(part, target):
        half = copies / f"{len(taken)}-half"
        shutil.copytree(run_dir, half)
        complete = (half / part.name).read_bytes()
        (half / part.name).write_bytes(complete[: len(complete) // 2])
        replace(part, target)
        after = copies / f"{len(taken)}-after"
        shutil.copytree(run_dir, after)
        taken.append((target.name, half, after))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", watched)
        train(TINY, digits, run_dir, **REQUESTED)
    return run_dir, taken


@pytest.fixture
def finished(moments, tmp_path):
    """A copy of a finished run of two epochs."""
    return shutil.copytree(moments[0], tmp_path / "run")
