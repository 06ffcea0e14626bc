"""`.keras` files with our layers and optimizer: found again, in this process and in another; dtypes; shapes."""

import keras
import numpy as np
import pytest
from small_models import TINY, random_images
from small_runs import run_script

from mixer_lib import Augment, MixerBlock, MlpBlock, Patches, adamw, build_classifier, evaluate, predict
from mixer_lib.compat import KERAS_3, Dropout, optimizer_variables
from mixer_lib.models.gmlp import GmlpBlock, GmlpConfig, SpatialGatingUnit
from mixer_lib.models.resmlp import Affine, ResMlpBlock
from mixer_lib.models.vit import Positions, TransformerBlock, VitConfig

CONFIGS = {"gmlp": GmlpConfig(8, 2, 1, 6, 3, 0.1, 6), "vit": VitConfig(8, 2, 1, 8, 3, 0.1, 2, 6)}
IMAGES, LABELS = random_images(12), np.arange(12) % 3

GO_ON = """
import json, sys
{imports}
import keras
import numpy as np
try:
    model = keras.models.load_model({path!r})
except Exception as error:
    print(json.dumps(str(error)))
    sys.exit()
images = np.load({images!r})
print(json.dumps([int(model.optimizer.iterations), np.asarray(model.predict_on_batch(images)).tolist()]))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model after three steps, and the folder that it was saved in, with images and what it makes of them."""
    folder = tmp_path_factory.mktemp("saved")
    model = build_classifier(TINY, adapt_to=IMAGES)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adamw(0.005, 0.0001), loss, jit_compile=False)
    for _ in range(3):
        model.train_on_batch(IMAGES, LABELS)
    model.save(folder / "model.keras")
    np.save(folder / "images.npy", IMAGES)
    return model, folder


@pytest.mark.filterwarnings("ignore:Keras 2.15 puts no state")
def test_a_saved_model_is_loaded_and_goes_on_with_the_same_state(trained):
    model, folder = trained
    again = keras.models.load_model(folder / "model.keras")
    assert np.array_equal(again(IMAGES), model(IMAGES))
    if KERAS_3:  # Keras 2.15 saves no state of tensorflow-addons' optimizer
        pairs = zip(optimizer_variables(again), optimizer_variables(model), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)
        assert int(again.optimizer.iterations) == 3
    again.train_on_batch(IMAGES, LABELS)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_of_any_family_is_loaded_and_predicts_the_same(name, tmp_path):
    model = build_classifier(CONFIGS[name])
    model.save(tmp_path / "model.keras")
    assert np.array_equal(keras.models.load_model(tmp_path / "model.keras")(IMAGES), model(IMAGES))


@pytest.mark.skipif(KERAS_3, reason="only on Keras 2.15")
def test_that_keras_2_loses_the_optimizer_s_state_is_told(trained):
    with pytest.warns(UserWarning, match="no state of this optimizer.*mixer_lib.train hold it"):
        keras.models.load_model(trained[1] / "model.keras")


def in_another_process(imports, folder):
    return run_script(GO_ON.format(imports=imports, path=str(folder / "model.keras"), images="images.npy"), folder)


@pytest.mark.parametrize("imports", ["import mixer_lib", "import keras, mixer_lib", "import mixer_lib.models.cnn"])
def test_another_process_loads_it_once_mixer_lib_is_imported(trained, imports):
    model, folder = trained
    steps, logits = in_another_process(imports, folder)
    assert steps == (3 if KERAS_3 else 0)
    assert np.allclose(logits, model(IMAGES), atol=1e-5)


@pytest.mark.skipif(not KERAS_3, reason="only on Keras 3")
def test_without_mixer_lib_keras_names_the_module_to_import(trained):
    assert "mixer_lib" in in_another_process("", trained[1])


LAYERS = {
    "Patches": (Patches(2), (2, 4, 4, 3), (2, 4, 12)),
    "MlpBlock": (MlpBlock(5), (2, 4, 6), None),
    "MixerBlock": (MixerBlock(5, 7), (2, 4, 6), None),
    "Augment": (Augment(), (2, 8, 8, 3), None),
    "Dropout": (Dropout(0.5), (2, 4), None),
    "GmlpBlock": (GmlpBlock(6), (2, 4, 6), None),
    "SpatialGatingUnit": (SpatialGatingUnit(), (2, 4, 6), (2, 4, 3)),
    "TransformerBlock": (TransformerBlock(2, 6), (2, 4, 6), None),
    "Positions": (Positions(), (2, 4, 6), None),
    "Affine": (Affine(0.5), (2, 4, 6), None),
    "ResMlpBlock": (ResMlpBlock(5), (2, 4, 6), None),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_tells_its_output_shape_and_is_rebuilt_from_its_config(name):
    layer, shape, expected = LAYERS[name]
    assert tuple(layer.compute_output_shape(shape)) == (expected or shape)
    again = type(layer).from_config(layer.get_config())
    assert again(np.ones(shape, "float32")).shape == (expected or shape)
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("Augment", "Dropout")])
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_a_layer_s_dtype_is_that_of_all_inside_it(name, dtype):
    layer, shape, _ = LAYERS[name]
    one = type(layer).from_config({**layer.get_config(), "dtype": dtype})
    out = one(np.ones(shape, "float32"))
    assert keras.backend.standardize_dtype(out.dtype) == dtype.removeprefix("mixed_") if KERAS_3 else True
    assert {getattr(w.dtype, "name", w.dtype) for w in one.weights} <= {"float64" if dtype == "float64" else "float32"}


def test_dropout_s_seed_decides_its_draws():
    draws = [np.asarray(Dropout(0.5, seed=seed)(np.ones((4, 50), "float32"), training=True)) for seed in (3, 3, 4)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_a_model_with_the_weights_of_another_is_evaluated_as_that_one():
    model, other = build_classifier(TINY, adapt_to=IMAGES), build_classifier(TINY)
    evaluate(other, IMAGES, LABELS)  # compiled with the colours that it has so far
    other.set_weights(model.get_weights())
    assert evaluate(other, IMAGES, LABELS) == evaluate(model, IMAGES, LABELS)
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    assert predict(again, IMAGES) == predict(model, IMAGES)
