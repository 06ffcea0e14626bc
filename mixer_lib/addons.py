"""tensorflow-addons' own AdamW, where it imports: Keras 2.15 on Python 3.10 and 3.11. Else `AddonsAdamW` is None."""

import re
import warnings

import keras

from .compat import KERAS_3

AddonsAdamW = None
if not KERAS_3:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # its end-of-life notice
            from tensorflow_addons.optimizers import AdamW
    except ImportError:
        AdamW = None

if not KERAS_3 and AdamW:

    @keras.utils.register_keras_serializable("mixer_lib")
    class AddonsAdamW(AdamW):
        """tensorflow-addons' AdamW with the method `exclude_from_weight_decay` of Keras's optimizers."""

        def __init__(self, *args, exclude_from_weight_decay=None, **kwargs):
            super().__init__(*args, **kwargs)
            del self.exclude_from_weight_decay  # a list of this name would hide the method
            self._spared, self._spared_names = set(), list(exclude_from_weight_decay or ())

        def exclude_from_weight_decay(self, var_list=None, var_names=None):
            """Spare variables, or those in whose names one of `var_names` is found, as Keras's optimizers do."""
            self._spared, self._spared_names = {v.ref() for v in var_list or ()}, list(var_names or ())

        def _do_use_weight_decay(self, var):
            named = any(re.search(name, var.name) for name in self._spared_names)
            return super()._do_use_weight_decay(var) and not named and var.ref() not in self._spared

        def _set_decay_var_list(self, var_list, decay_var_list=None):
            self._decay_var_list = {v.ref() for v in decay_var_list} if decay_var_list else None

        def get_config(self):
            return {**super().get_config(), "exclude_from_weight_decay": self._spared_names}

        @classmethod
        def from_config(cls, config, custom_objects=None):
            warnings.warn(
                "Keras 2.15 puts no state of this optimizer into a .keras file, so that training would continue from "
                "its first step. The checkpoints of mixer_lib.train hold it, and so do .keras files of Keras 3.",
                stacklevel=2,
            )
            return super().from_config(config, custom_objects)
