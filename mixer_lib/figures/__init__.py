"""Every drawing of the book: chapters write `from mixer_lib import figures` and `figures.NAME(...)`.
Each returns a matplotlib `Figure`. It imports `analysis.benchmarks`, and nothing but chapters imports it.
"""

from .benchmarks import seed_bands, step_waterfall
from .data import channel_histograms, class_examples, colour_planes, picture_grid, split_bar, split_by_class, zoom_steps
from .family import accuracy_against_work, block_family
from .patches import (
    block_diagram,
    changed_cells,
    column_and_row,
    cost_by_patches,
    gelu_curves,
    image_to_table,
    layer_norm_effect,
    unrolled_patch,
)
from .probes import accuracy_bars, cost_growth, disturbance_curves, filter_grid, occlusion_map, reach_maps, weight_maps
from .runs import compare_histories, line_plot, run_accuracies, trial_curves
from .style import use_style
from .training import (
    class_accuracy,
    confusion_map,
    forward_pass,
    learning_curves,
    learning_rate_drops,
    stacked_bars,
    top_k_bars,
)
