"""The Mixer as the article writes it, which takes this library's parts over one by one: the benchmark's stages."""

import keras

from mixer_lib import Augment, adamw, build_classifier, compat
from mixer_lib.speedups.devices import Execution

# stage: what it takes from mixer_lib; each keeps what the one before has
STAGES = {
    "article": "a step the article's way",  # Keras layers, extract_patches, RandomFlip and RandomZoom, fit
    "loop": "a plain loop in place of fit",
    "zoom": "the zoom as matrix products",
    "xla": "XLA compiles the step",
    "masks": "dropout masks from a hash",
    "layers": "faster layers",
    "mixer_lib": "both halves of a batch at once",
}


def _has(stage, part):
    names = list(STAGES)
    return names.index(stage) >= names.index(part)


def execution_of(stage, config=None):
    """How a stage computes a step. RandomZoom keeps XLA from compiling the first ones, `train` convolutions."""
    return Execution(jit_compile=_has(stage, "xla") and not getattr(config, "convolutions", False))


def keras_model(stage, config, images):
    """The classifier of a stage, compiled with the article's optimizer, loss and metrics."""
    execution = execution_of(stage, config)
    if _has(stage, "layers"):
        model = execution.speed_up(build_classifier(config, images))
    else:
        model = _written_out(stage, config, images)
    model.compile(
        adamw(0.005, 0.0001),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc", keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5-acc")],
        jit_compile=execution.jit_compile,
    )
    return model


def train_step(stage, model):
    """A function (images, labels) that trains a stage's model on a batch; the last stage's is that of `train`."""
    return (
        Execution(jit_compile=model.jit_compile).train_step(model) if stage == "mixer_lib" else compat.train_step(model)
    )


def predicting_model(stage, model, config, images):
    """The model that predicts: the last stage's is a plain one, as published models are."""
    if stage != "mixer_lib":
        return model
    plain = build_classifier(config, images)
    plain.set_weights(model.get_weights())
    return plain


def _written_out(stage, config, images):
    import tensorflow as tf

    layers = keras.layers
    drop = layers.Dropout
    if _has(stage, "masks") and compat.KERAS_3:
        from mixer_lib.speedups.dropout import Dropout as drop

    class ExtractPatches(layers.Layer):
        def call(self, x):
            side = [1, config.patch_size, config.patch_size, 1]
            x = tf.image.extract_patches(x, sizes=side, strides=side, rates=[1, 1, 1, 1], padding="VALID")
            return tf.reshape(x, (-1, config.num_patches, x.shape[-1]))

    def mlp(x, hidden, out):
        x = layers.Dense(hidden)(x)
        x = layers.Activation(lambda value: tf.nn.gelu(value, approximate=True))(x)
        return drop(config.dropout)(layers.Dense(out)(x))

    normalize = layers.Normalization()
    normalize.adapt(images)
    pictures = keras.Input((config.image_size, config.image_size, 3))
    x = normalize(pictures)
    if _has(stage, "zoom"):
        x = Augment(0.2)(x)
    else:
        x = layers.Resizing(config.image_size, config.image_size)(x)
        x = layers.RandomZoom(0.2, 0.2)(layers.RandomFlip("horizontal")(x))
    x = layers.Dense(config.hidden_dim)(ExtractPatches()(x))
    for _ in range(config.num_blocks):
        norm = layers.LayerNormalization(epsilon=1e-6)
        y = layers.Permute((2, 1))(norm(x))
        y = layers.Permute((2, 1))(mlp(y, config.tokens_mlp_dim, config.num_patches))
        x = layers.Add()([x, y])
        x = layers.Add()([x, mlp(norm(x), config.channels_mlp_dim, config.hidden_dim)])
    x = drop(config.dropout)(layers.GlobalAveragePooling1D()(x))
    return keras.Model(pictures, layers.Dense(config.num_classes)(x))
