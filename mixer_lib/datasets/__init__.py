"""Where data come from: CIFAR, MNIST, digits; locating, downloading, checking, safe reading.
Every loader returns a dict of `Dataset`'s fields. May import `mixer_lib.validation`; knows no Keras.
"""
