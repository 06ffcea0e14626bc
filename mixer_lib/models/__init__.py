"""What the Mixer is compared with (gMLP, ResMLP, ViT, ConvMixer, a CNN), and published or released weights.

It imports the core, `compat`, `runs` and `datasets`.
"""
