"""The authors' released weights: a forward pass written from the paper, a round trip, files that don't fit."""

import base64
import dataclasses
import hashlib
import http.server
import threading

import numpy as np
import pytest
from small_models import TINY, gelu, layer_norm, random_images, randomize

from mixer_lib import PRESETS, build_classifier
from mixer_lib.models import released
from mixer_lib.models.gmlp import GmlpConfig
from mixer_lib.models.vit import VitConfig

SMALL = dataclasses.replace(
    PRESETS["mixer-b/16"].model,
    image_size=24,
    patch_size=8,
    num_blocks=3,
    hidden_dim=10,
    tokens_mlp_dim=7,
    channels_mlp_dim=12,
    num_classes=5,
)


def arrays_of(config, seed=0):
    """Random arrays with the names and shapes that the paper's code gives them."""
    draw = np.random.default_rng(seed)
    s, c, p = config.num_patches, config.hidden_dim, config.patch_size
    shapes = {"stem": (p, p, 3, c), "head": (c, config.num_classes)}
    norms = ["pre_head_layer_norm"]
    for i in range(config.num_blocks):
        norms += [f"MixerBlock_{i}/LayerNorm_0", f"MixerBlock_{i}/LayerNorm_1"]
        for mixing, width, hidden in (
            ("token_mixing", s, config.tokens_mlp_dim),
            ("channel_mixing", c, config.channels_mlp_dim),
        ):
            shapes[f"MixerBlock_{i}/{mixing}/Dense_0"] = (width, hidden)
            shapes[f"MixerBlock_{i}/{mixing}/Dense_1"] = (hidden, width)
    arrays = {}
    for name, shape in shapes.items():
        arrays[f"{name}/kernel"] = draw.normal(scale=0.3, size=shape).astype("float32")
        arrays[f"{name}/bias"] = draw.normal(scale=0.3, size=shape[-1]).astype("float32")
    for name in norms:
        arrays[f"{name}/scale"] = draw.uniform(0.5, 1.5, c).astype("float32")
        arrays[f"{name}/bias"] = draw.normal(scale=0.3, size=c).astype("float32")
    return arrays


def forward(arrays, images):
    """The paper's equation 1 and figure 1 in NumPy, in double precision: (B, H, W, 3) 0-255 -> logits."""
    get = {name: array.astype("float64") for name, array in arrays.items()}

    def norm(x, name):
        return layer_norm(x, get[f"{name}/scale"], get[f"{name}/bias"])

    def mlp(x, name):
        x = gelu(x @ get[f"{name}/Dense_0/kernel"] + get[f"{name}/Dense_0/bias"])
        return x @ get[f"{name}/Dense_1/kernel"] + get[f"{name}/Dense_1/bias"]

    x = (images.astype("float64") - 127.5) / 127.5
    p = get["stem/kernel"].shape[0]
    rows, columns = x.shape[1] // p, x.shape[2] // p
    # a convolution whose stride is its size: one product for each patch
    table = [
        np.einsum("bhwc,hwco->bo", x[:, i * p : i * p + p, j * p : j * p + p], get["stem/kernel"])
        for i in range(rows)
        for j in range(columns)
    ]
    x = np.stack(table, axis=1) + get["stem/bias"]
    for i in range(sum(name.endswith("LayerNorm_0/scale") for name in get)):
        block = f"MixerBlock_{i}"
        y = norm(x, f"{block}/LayerNorm_0").transpose(0, 2, 1)
        x = x + mlp(y, f"{block}/token_mixing").transpose(0, 2, 1)
        x = x + mlp(norm(x, f"{block}/LayerNorm_1"), f"{block}/channel_mixing")
    x = norm(x, "pre_head_layer_norm").mean(axis=1)
    return x @ get["head/kernel"] + get["head/bias"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.npz"
    np.savez(path, **arrays_of(SMALL))
    return path


def test_logits_of_released_weights_are_those_of_a_forward_pass_written_from_the_paper(file):
    images = random_images(6, SMALL.image_size)
    expected = forward(arrays_of(SMALL), images)
    found = np.asarray(released.load_released(file)(images))
    assert expected.std(axis=0).min() > 0.01  # pictures are told apart
    assert np.abs(found - expected).max() < 1e-4


def test_sizes_are_read_from_the_arrays():
    config = released.infer_config(arrays_of(SMALL))
    assert config == dataclasses.replace(SMALL, stochastic_depth=0.0, zero_head=False)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name.startswith("mixer-") and name[6] in "sb"])
def test_a_file_of_a_preset_s_sizes_is_read_as_that_preset(preset):
    def zeros(*shape):  # as much of an array as the sizes are read from
        return np.broadcast_to(np.float32(0), shape)

    config = PRESETS[preset].model
    s, c, p = config.num_patches, config.hidden_dim, config.patch_size
    arrays = {"stem/kernel": zeros(p, p, 3, c)}
    arrays["head/kernel"] = zeros(c, config.num_classes)
    for i in range(config.num_blocks):
        arrays[f"MixerBlock_{i}/token_mixing/Dense_0/kernel"] = zeros(s, c // 2)
        arrays[f"MixerBlock_{i}/channel_mixing/Dense_0/kernel"] = zeros(c, 4 * c)
    assert released.infer_config(arrays) == dataclasses.replace(config, stochastic_depth=0.0, zero_head=False)


def test_what_is_saved_is_read_again_array_for_array(tmp_path):
    model = randomize(build_classifier(SMALL))
    released.save_released(model, tmp_path / "saved.npz")
    again = released.load_released(tmp_path / "saved.npz")
    for mine, theirs in zip(model.trainable_weights, again.trainable_weights, strict=True):
        assert np.array_equal(np.asarray(mine), np.asarray(theirs))
    with np.load(tmp_path / "saved.npz") as archive:
        assert set(archive.files) == set(arrays_of(SMALL))
        assert {name: archive[name].shape for name in archive.files} == {
            name: array.shape for name, array in arrays_of(SMALL).items()
        }


@pytest.mark.parametrize(
    "config", [TINY, GmlpConfig(num_blocks=1), VitConfig(num_blocks=1)], ids=["article", "gmlp", "vit"]
)
def test_a_model_other_than_the_paper_s_has_no_released_form(tmp_path, config):
    with pytest.raises(ValueError, match="Received: a model of images, normalize,.*Build it with shared_norm=False"):
        released.save_released(build_classifier(config), tmp_path / "no.npz")
    assert not (tmp_path / "no.npz").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("stem/kernel"), "stem/kernel"),
        (lambda a: a.pop("MixerBlock_1/LayerNorm_1/scale"), "MixerBlock_1/LayerNorm_1/scale"),
        (lambda a: a.update({"head/bias": np.zeros(4, "float32")}), r"head/bias must be .*\(5,\).*\(4,\)"),
        (lambda a: a.update({"cls": np.zeros(3, "float32")}), "cls"),
        (lambda a: a.update({"stem/kernel": np.zeros((8, 8, 10), "float32")}), "4 axes"),
        (
            lambda a: a.update({"MixerBlock_0/token_mixing/Dense_0/kernel": np.zeros((8, 7), "float32")}),
            "must be a square",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, change, message):
    arrays = arrays_of(SMALL)
    change(arrays)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        released.load_released(tmp_path / "bad.npz")


def test_pickled_arrays_are_refused_unread(tmp_path):
    ran = []

    class Trap:
        def __reduce__(self):
            return (ran.append, (1,))

    arrays = arrays_of(SMALL)
    arrays["head/bias"] = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "trap.npz", **arrays)
    with pytest.raises(ValueError, match="not a NumPy archive of plain arrays"):
        released.load_released(tmp_path / "trap.npz")
    assert ran == []


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04 and then nothing"])
def test_a_file_that_is_not_an_archive_is_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(ValueError, match="not a NumPy archive"):
        released.load_released(tmp_path / "bad.npz")


def test_a_missing_file_is_reported_as_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        released.load_released(tmp_path / "none.npz")


# --- fetching -------------------------------------------------------------------------------------


@pytest.fixture
def host(file, monkeypatch, tmp_path):
    """A host on this machine that serves a released file and states its sum, as the authors' does."""
    content = file.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        stated = base64.b64encode(hashlib.md5(content).digest()).decode()

        def do_HEAD(self):
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            if self.stated:
                self.send_header("x-goog-hash", "crc32c=AAAAAA==")
                self.send_header("x-goog-hash", f"md5={self.stated}")
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(released, "RELEASED", {"small": f"http://127.0.0.1:{server.server_port}/small.npz"})
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    yield Handler
    server.shutdown()


def test_a_fetched_file_is_the_one_whose_checksum_the_host_states(host, file, tmp_path):
    fetched = released.fetch_released("small")
    assert fetched.read_bytes() == file.read_bytes()
    assert tmp_path / "cache" in fetched.parents


def test_a_file_with_another_checksum_is_refused(host):
    host.stated = base64.b64encode(bytes(16)).decode()
    with pytest.raises(ValueError, match="(?i)hash|incomplete|corrupt"):
        released.fetch_released("small")


def test_a_host_that_states_no_checksum_is_not_trusted(host):
    host.stated = ""
    with pytest.raises(ValueError, match="without a checksum"):
        released.fetch_released("small")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="b/16-imagenet1k.*'b/17'"):
        released.fetch_released("b/17")
