"""The forward pass that runs in the page gives Keras's numbers, and a broken one is noticed."""

import base64
import io
import json

import numpy as np
import pytest
from live.scripts import MODELS, TOLERANCE, ask, assert_same_logits, each_model, needs_node, run, sample
from PIL import Image

import mixer_lib
from mixer_lib.analysis import probes
from mixer_lib.pictures.read import read_picture
from tools.render import live

pytestmark = needs_node


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """{model: its weights file}."""
    folder = tmp_path_factory.mktemp("live")
    for name in MODELS:
        text = json.dumps(live.pack_model(name))
        live.write_script(folder / f"weights-{name}.js", f'MixerData.models["{name}"]={text}')
    return {name: folder / f"weights-{name}.js" for name in MODELS}


@pytest.fixture(scope="module")
def keras_models():
    return {name: mixer_lib.load_pretrained(name)[0] for name in MODELS}


def logits(model, images):
    if len(images) > 200:
        return np.asarray(model.predict(images, verbose=0))
    return np.asarray(model(images.astype("float32")))  # less to set up


@each_model
def test_logits_and_top_five_equal_kerass(weights, keras_models, name):
    images = sample()
    assert_same_logits(ask(weights[name], "logits", images), logits(keras_models[name], images))


@each_model
def test_every_table_on_the_way_equals_kerass(weights, keras_models, name):
    image, model = sample(1)[-3:-2], keras_models[name]
    ours = {key: np.array(table) for key, table in ask(weights[name], "tables", image).items()}
    x = model.get_layer("patches")(model.get_layer("normalize")(image.astype("float32")))
    expected = {"patches": x}
    expected["embedded"] = x = model.get_layer("embed")(x)
    layers = [layer.name for layer in model.layers]
    for b in range(sum(name.startswith("block_") for name in layers)):
        block = model.get_layer(f"block_{b}")
        columns = block.transpose(block.token_norm(x))
        expected[f"hidden_{b}"] = mixer_lib.layers.keras.activations.gelu(
            block.token_mixing.hidden(columns), approximate=True
        )
        expected[f"tokens_{b}"] = x + block.transpose(block.token_mixing(columns))
        expected[f"channels_{b}"] = x = block(x)
    x = model.get_layer("pre_head_norm")(x) if "pre_head_norm" in layers else x
    expected["votes"] = model.get_layer("head")(x)
    assert set(ours) == set(expected)
    for key, table in expected.items():
        assert np.abs(ours[key] - np.asarray(table).ravel()).max() <= TOLERANCE, key
    # the last layer is linear: the answer is the mean of the patches' votes
    answer = ask(weights[name], "logits", image)[0]
    assert np.abs(ours["votes"].reshape(64, -1).mean(0) - answer).max() <= TOLERANCE


def test_shuffled_patches_change_the_answer_unless_the_weights_move_along(weights):
    images = sample(2)
    order = np.random.default_rng(1).permutation(64)
    shuffled = probes.reorder(images, 4, order)
    before = np.array(ask(weights["article"], "logits", images))
    lost = np.array(ask(weights["article"], "logits", shuffled))
    kept = ask(weights["article"], "logits", shuffled, follow=order.tolist())
    assert np.abs(lost - before).max() > 1
    assert_same_logits(kept, before)


@pytest.mark.parametrize("mixing", ["token_mixing", "channel_mixing"])
def test_a_mixing_that_is_off_adds_nothing(weights, mixing):
    model, _ = mixer_lib.load_pretrained("article")
    out = getattr(model.get_layer("block_2"), mixing).out
    out.set_weights([np.zeros_like(weight) for weight in out.get_weights()])
    off = [{}, {}, {mixing.split("_")[0] + "s": True}, {}]
    images = sample(3)
    assert_same_logits(ask(weights["article"], "logits", images, off=off), logits(model, images))


ERF = """function gelu(x) {
    const u = x / Math.SQRT2; let sum = 0, term = u;
    for (let n = 0; n < 60; n++) { sum += term / (2 * n + 1); term *= -u * u / (n + 1); }
    return 0.5 * x * (1 + (Math.abs(u) > 4 ? Math.sign(u) : 2 / Math.sqrt(Math.PI) * sum));
  }"""
FAULTS = {
    "axes swapped before token mixing": ("(x, block.token_norm), S, C)", "(x, block.token_norm), C, S)"),
    "axes swapped after token mixing": ("transpose(mlp.out, C, S)", "transpose(mlp.out, S, C)"),
    "no skip around token mixing": ("add(before, tokens.added)", "tokens.added"),
    "no skip around channel mixing": ("add(afterTokens, channels.added)", "channels.added"),
    "rows and columns of patches swapped": (
        "(row * patchSize + line) * imageSize + column * patchSize",
        "(column * patchSize + line) * imageSize + row * patchSize",
    ),
    "no LayerNorm before channel mixing": ("mlpBlock(layerNorm(x, norm)", "mlpBlock(x"),
    "the exact GELU": (None, ERF),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_forward_pass_is_noticed(weights, keras_models, tmp_path, fault):
    before, after = FAULTS[fault]
    source = (live.LIVE / "mixer.js").read_text(encoding="utf-8")
    if before is None:
        start = source.index("function gelu")
        before = source[start : source.index("\n  }", start) + 4]
    assert source.count(before) == 1
    broken = tmp_path / "mixer.js"
    broken.write_text(source.replace(before, after), encoding="utf-8")
    images = sample(4)
    found = ask(weights["article"], "logits", images, mixer=broken)
    with pytest.raises(AssertionError):
        assert_same_logits(found, logits(keras_models["article"], images))


def test_pictures_are_moved_and_shuffled_as_the_chapters_do_it(weights):
    images = sample(2)
    order = np.random.default_rng(2).permutation(64)
    found = ask(weights["article"], "disturbed", images, order=order.tolist())
    assert np.array_equal(np.reshape(found, images.shape), probes.reorder(images, 4, order))
    found = ask(weights["article"], "disturbed", images, right=3, down=-2)
    assert np.array_equal(np.reshape(found, images.shape), probes.shift_images(images, -2, 3))


def test_animated_files_are_told_from_still_ones(weights):
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "blue", "green")]
    files = []
    for kind in ("GIF", "PNG", "WEBP"):
        for animated in (True, False):
            file = io.BytesIO()
            frames[0].save(file, kind, **({"save_all": True, "append_images": frames[1:]} if animated else {}))
            files.append(base64.b64encode(file.getvalue()).decode())
    assert ask(weights["article"], "animated", files=files) == [True, False] * 3


@pytest.mark.parametrize("side", [32, 33, 47, 100, 256, 301, 777, 20])
def test_a_picture_is_reduced_as_predict_reduces_it(tmp_path, side):
    """To the last bit, for noise, and in bands of any height."""
    draw = np.random.default_rng(side)
    pixels = draw.integers(0, 256, (side, side, 3)).astype("uint8")
    file = tmp_path / "picture.png"
    Image.fromarray(pixels).save(file)
    rgba = np.dstack([pixels, np.full((side, side, 1), 255, "uint8")])
    question = {"side": side, "size": 32, "rgba": base64.b64encode(rgba.tobytes()).decode(), "rowsAtOnce": 50}
    found = np.frombuffer(base64.b64decode(run("resize.js", **question)), "uint8").reshape(32, 32, 3)
    assert np.array_equal(found, read_picture(file, 32))


@pytest.mark.realdata
@each_model
def test_accuracy_and_logits_on_test_pictures_equal_kerass(weights, keras_models, name):
    try:
        data = mixer_lib.load_dataset("cifar100")
    except Exception:
        pytest.skip("needs real CIFAR-100")
    assert live.class_names(live_card(name)) == [one.replace("_", " ") for one in data.class_names]
    images, labels = data.x_test[:2000], data.y_test[:2000]
    ours, keras = np.array(ask(weights[name], "logits", images)), logits(keras_models[name], images)
    assert_same_logits(ours[:200], keras[:200])
    accuracies = [(found.argmax(1) == labels).mean() for found in (ours, keras)]
    print(f"{name}: top-1 {accuracies}, largest difference of a logit {np.abs(ours - keras).max():.1e}")
    assert abs(accuracies[0] - accuracies[1]) <= 0.001


def live_card(name):
    return json.loads((live.PRETRAINED / f"{name}.json").read_text(encoding="utf-8"))
