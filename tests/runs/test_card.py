"""Cards: plain JSON, read strictly."""

import dataclasses
import json
import re

import pytest

from mixer_lib import RunResult
from mixer_lib.runs.card import FORMAT


def card(**changes):
    values = {
        "preset": "custom",
        "config": {"num_blocks": 1},
        "recipe": {"learning_rate": 0.005},
        "dataset": "digits",
        "data_fingerprint": "0123456789abcdef",
        "seed": 3,
        "epochs_asked": 100,
        "epochs_run": 57,
        "best_epoch": 46,
        "val_top1": 0.4738,
        "val_top5": 0.7796,
        "top1": 0.4843,
        "top5": 0.7804,
        "top1_last": 0.48,
        "top5_last": 0.78,
        "parameters": 1234,
        "macs": 5678,
        "seconds_total": 4400.5,
        "seconds_per_epoch": 77.6,
        "device": "CPU, 2 cores",
        "versions": {"keras": "2.15.0"},
        "command": "make execute",
        "commit": "abc",
        "started": "2026-11-23T20:00:00+00:00",
        "weights_sha256": "",
        "format": FORMAT,
    }
    return RunResult(**{**values, **changes})


def test_a_card_is_plain_json_with_accuracies_as_fractions_and_reads_back_as_it_was(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(card().as_json(), encoding="utf-8")
    assert RunResult.load(path) == card()
    assert json.loads(path.read_text(encoding="utf-8")) == dataclasses.asdict(card())


def rewritten(path, change):
    content = dataclasses.asdict(card())
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "field"),
    [(lambda c: c.update(colour="red"), "colour"), (lambda c: c.pop("top5"), "top5")],
    ids=["unknown field", "missing field"],
)
def test_a_card_with_other_fields_is_refused_with_the_field_named(tmp_path, change, field):
    path = rewritten(tmp_path / "card.json", change)
    with pytest.raises(ValueError, match=rf"card.json is not a card of this version.*\['{field}'\]"):
        RunResult.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'"card"', b"{}", b"\xff\xfe\x00", b"[" * 10**5])
def test_a_file_that_is_no_card_is_refused_by_name(tmp_path, content):
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(ValueError, match="card.json is not a card"):
        RunResult.load(tmp_path / "card.json")


def test_a_card_from_before_checksums_and_formats_still_reads(tmp_path):
    path = rewritten(tmp_path / "card.json", lambda c: [c.pop("weights_sha256"), c.pop("format")])
    assert RunResult.load(path) == card()


def test_a_card_from_the_future_is_refused_with_the_word_to_update(tmp_path):
    path = rewritten(tmp_path / "card.json", lambda c: c.update(format=FORMAT + 1, colour="red"))
    with pytest.raises(ValueError, match="card.json is a card of format 2, newer than 1. Update"):
        RunResult.load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("preset", 3),
        ("config", []),
        ("seed", "3"),
        ("seed", True),
        ("epochs_run", -1),
        ("epochs_run", 2.5),
        ("top1", "0.48"),
        ("top1", 48.43),
        ("top5", float("nan")),
        ("val_top1", None),
        ("seconds_total", float("inf")),
        ("versions", "2.15.0"),
        ("weights_sha256", None),
        ("format", "1"),
    ],
)
def test_a_card_with_a_value_of_another_kind_is_refused_by_field_and_value(tmp_path, field, value):
    path = rewritten(tmp_path / "card.json", lambda content: content.update({field: value}))
    with pytest.raises(ValueError, match=re.escape(f"card.json is not a card: {field} can't be {value!r}")):
        RunResult.load(path)


def test_a_card_can_not_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        card().top1 = 0.99
