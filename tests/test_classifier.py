"""The classifier: its sizes, the article's model on the same weights, determinism, saving."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import TINY, TINY_PAPER, count_parameters, random_images, randomize

from mixer_lib import PRESETS, RECIPES, MixerConfig, build_classifier, multiply_adds
from mixer_lib.compat import reseed, seed_generators


@pytest.fixture(scope="module")
def article():
    keras.utils.set_random_seed(0)
    return randomize(build_classifier("article", adapt_to=random_images(50, 32)), scale=0.2)


@pytest.fixture(scope="module")
def tiny():
    return randomize(build_classifier(TINY, adapt_to=random_images(20)))


@pytest.fixture(scope="module")
def tiny_paper():
    return build_classifier(TINY_PAPER, adapt_to=random_images(20))


# --- sizes ----------------------------------------------------------------------------------------


def test_the_article_has_119780_trainable_parameters_and_119787_in_all(article):
    assert count_parameters(article) == 119_780
    assert article.count_params() == 119_787


def parameters(config):
    """Trainable parameters by counting on paper: each dense layer has in x out + out, each norm 2 x width."""
    s, c = config.num_patches, config.hidden_dim
    embed = 3 * config.patch_size**2 * c + c
    tokens = s * config.tokens_mlp_dim + config.tokens_mlp_dim + config.tokens_mlp_dim * s + s
    channels = c * config.channels_mlp_dim + config.channels_mlp_dim + config.channels_mlp_dim * c + c
    norms = 2 * c if config.shared_norm else 4 * c
    head = c * config.num_classes + config.num_classes + (2 * c if config.pre_head_norm else 0)
    return embed + config.num_blocks * (tokens + channels + norms) + head


def test_a_built_model_has_as_many_parameters_as_are_counted_on_paper(tiny, tiny_paper):
    assert count_parameters(tiny) == parameters(TINY)
    assert count_parameters(tiny_paper) == parameters(TINY_PAPER)


@pytest.mark.parametrize(
    ("preset", "count"),
    [
        ("article", 119_780),
        ("article-plus", 119_780),  # the same size, trained otherwise
        ("article-best", 116_740),  # at most that size
        ("mixer-b/16", 59_880_472),
        ("mixer-b/32", 60_293_428),
        ("mixer-l/16", 208_196_168),
    ],
)
def test_a_preset_counts_the_parameters_that_its_source_states(preset, count):
    assert parameters(PRESETS[preset]) == count


def test_the_paper_s_presets_have_the_sizes_of_its_table_1():
    rows = {
        "mixer-s/32": (32, 8, 512, 256, 2048),
        "mixer-s/16": (16, 8, 512, 256, 2048),
        "mixer-b/32": (32, 12, 768, 384, 3072),
        "mixer-b/16": (16, 12, 768, 384, 3072),
        "mixer-l/32": (32, 24, 1024, 512, 4096),
        "mixer-l/16": (16, 24, 1024, 512, 4096),
        "mixer-h/14": (14, 32, 1280, 640, 5120),
    }
    names = ("patch_size", "num_blocks", "hidden_dim", "tokens_mlp_dim", "channels_mlp_dim")
    for preset, sizes in rows.items():
        assert tuple(getattr(PRESETS[preset], name) for name in names) == sizes, preset
        assert (PRESETS[preset].image_size, PRESETS[preset].num_classes) == (224, 1000)


def test_a_preset_is_a_model_and_the_name_of_its_recipe():
    assert {name: preset.recipe for name, preset in PRESETS.items() if preset.recipe != "article"} == {
        "article-plus": "article-plus",
        "article-best": "article-best",
    }
    for preset in PRESETS.values():
        assert preset.recipe in RECIPES and type(preset.model) is MixerConfig
        assert dataclasses.asdict(preset) == {**dataclasses.asdict(preset.model), "recipe": preset.recipe}


def test_the_article_needs_8794624_multiply_adds_for_an_image():
    assert multiply_adds(PRESETS["article"]) == 8_794_624


def test_multiply_adds_are_those_of_every_matrix_product_in_the_model():
    embed, head = 16 * 12 * 6, 6 * 3  # TINY: 16 patches of 12 values, 6 channels, 3 classes
    tokens, channels = 6 * (16 * 5 + 5 * 16), 16 * (6 * 7 + 7 * 6)
    assert multiply_adds(TINY) == embed + 2 * (tokens + channels) + head


# --- the article's model --------------------------------------------------------------------------


def built_the_article_s_way(model, config):
    """The same weights in a model of extract_patches, transposes and one LayerNorm in a block."""
    mean, variance = model.get_layer("normalize").mean, model.get_layer("normalize").variance
    embed, head = (model.get_layer(name).get_weights() for name in ("embed", "head"))
    blocks = [model.get_layer(f"block_{i}") for i in range(config.num_blocks)]
    norms = [keras.layers.LayerNormalization(epsilon=1e-6) for _ in blocks]
    for norm, block in zip(norms, blocks, strict=True):
        norm.build((None, config.num_patches, config.hidden_dim))
        norm.set_weights(block.token_norm.get_weights())

    def dense(x, weights):
        return tf.tensordot(x, weights[0], 1) + weights[1]

    def mlp(x, block):
        hidden = tf.nn.gelu(dense(x, block.hidden.get_weights()), approximate=True)
        return dense(hidden, block.out.get_weights())

    def forward(images):
        side = [1, config.patch_size, config.patch_size, 1]
        x = (tf.cast(images, "float32") - np.asarray(mean)) / np.sqrt(np.asarray(variance))
        x = tf.image.extract_patches(x, sizes=side, strides=side, rates=[1, 1, 1, 1], padding="VALID")
        x = dense(tf.reshape(x, (len(images), -1, x.shape[-1])), embed)
        for norm, block in zip(norms, blocks, strict=True):
            y = tf.linalg.matrix_transpose(norm(x))
            x = x + tf.linalg.matrix_transpose(mlp(y, block.token_mixing))
            x = x + mlp(norm(x), block.channel_mixing)
        return dense(tf.reduce_mean(x, axis=1), head).numpy()

    return forward


def test_on_the_same_weights_the_article_s_model_gives_the_same_logits(article):
    images = random_images(16, 32, seed=2)
    expected = built_the_article_s_way(article, PRESETS["article"])(images)
    assert np.abs(expected).max() > 0.5
    assert np.abs(np.asarray(article(images)) - expected).max() < 2e-5 * max(1, np.abs(expected).max())


def test_the_layers_have_the_names_that_the_chapters_use(article, tiny_paper):
    blocks = [f"block_{i}" for i in range(4)]
    expected = ["images", "normalize", "augment", "patches", "embed", *blocks, "pool", "head_dropout", "head"]
    assert [layer.name for layer in article.layers] == expected
    assert "pre_head_norm" in [layer.name for layer in tiny_paper.layers]


def test_colours_are_normalized_by_the_training_set_s_mean_and_variance(article):
    images = random_images(50, 32)
    layer = article.get_layer("normalize")
    assert np.allclose(np.ravel(layer.mean), images.mean(axis=(0, 1, 2)), rtol=1e-6)
    assert np.allclose(np.ravel(layer.variance), images.var(axis=(0, 1, 2)), rtol=1e-6)
    normal = np.asarray(layer(images.astype("float32")))
    assert np.abs(normal.mean(axis=(0, 1, 2))).max() < 1e-4
    assert np.abs(normal.std(axis=(0, 1, 2)) - 1).max() < 1e-4


def test_a_zero_head_gives_zero_logits_at_first_and_a_glorot_head_does_not(tiny_paper):
    assert np.all(np.asarray(tiny_paper(random_images(2))) == 0)
    assert np.any(tiny_paper.get_layer("embed").get_weights()[0] != 0)
    assert np.any(np.asarray(build_classifier(dataclasses.replace(TINY_PAPER, zero_head=False))(random_images(2))) != 0)


def test_stochastic_depth_grows_linearly_from_the_first_block_to_the_last():
    config = dataclasses.replace(TINY, num_blocks=3, stochastic_depth=0.2)
    model = build_classifier(config)
    rates = [model.get_layer(f"block_{i}").stochastic_depth for i in range(3)]
    assert rates == pytest.approx([0, 0.1, 0.2])


# --- plain calls ----------------------------------------------------------------------------------


def test_plain_calls_and_predict_are_deterministic(tiny):
    images = random_images(5)
    first, second = np.asarray(tiny(images)), np.asarray(tiny(images))
    assert np.array_equal(first, second)
    assert np.array_equal(first, np.asarray(tiny(images, training=False)))
    predicted = tiny.predict(images, verbose=0)
    assert np.array_equal(predicted, tiny.predict(images, verbose=0))
    assert np.allclose(predicted, first, atol=1e-5)


def test_training_adds_noise_that_differs_from_call_to_call(tiny):
    images = random_images(5)
    first, second = (np.asarray(tiny(images, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(first - np.asarray(tiny(images))).max() > 1e-3


def test_every_layer_that_draws_is_found_to_be_reseeded(article):
    found = seed_generators(article)
    assert len(found) == 2 + 4 * 4  # augmentation, the head's dropout, and four in each of the four blocks
    images = random_images(5, 32)
    reseed(article, 1, 1)
    first, other = (np.asarray(article(images, training=True)) for _ in range(2))
    reseed(article, 1, 1)
    assert np.array_equal(np.asarray(article(images, training=True)), first)
    assert not np.array_equal(first, other)


def test_uint8_and_float_images_give_equal_logits(tiny):
    images = random_images(5)
    assert np.array_equal(np.asarray(tiny(images)), np.asarray(tiny(images.astype("float32"))))


@pytest.mark.parametrize("patches", [(7, 1), (6, 2)])
def test_a_model_with_any_number_of_patches_trains(patches):
    side, size = patches
    config = dataclasses.replace(TINY, image_size=side, patch_size=size, hidden_dim=5)
    model = build_classifier(config)
    assert np.isfinite(np.asarray(model(random_images(2, side), training=True))).all()


# --- saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [TINY, TINY_PAPER], ids=["article-like", "paper-like"])
def test_saved_weights_and_a_saved_model_load_exactly(tmp_path, config):
    model, images = randomize(build_classifier(config, adapt_to=random_images(20)), seed=2), random_images(4)
    logits = np.asarray(model(images))
    model.save_weights(tmp_path / "m.weights.h5")
    other = build_classifier(config)
    assert not np.array_equal(np.asarray(other(images)), logits)
    other.load_weights(tmp_path / "m.weights.h5")
    assert np.array_equal(np.asarray(other(images)), logits)

    model.save(tmp_path / "m.keras")
    other = keras.models.load_model(tmp_path / "m.keras")
    assert np.array_equal(np.asarray(other(images)), logits)
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    for name in ("block_0", "block_1", "augment", "patches", "head_dropout"):
        assert other.get_layer(name).get_config() == model.get_layer(name).get_config()


# --- configurations: test_properties.py has the rest ----------------------------------------------


def test_a_config_can_not_be_changed_after_it_was_checked():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["article"].patch_size = 5


def test_an_unknown_preset_is_refused_with_the_known_ones_named():
    with pytest.raises(ValueError, match=r"'mixer-x/1'.*article.*mixer-b/16"):
        build_classifier("mixer-x/1")
