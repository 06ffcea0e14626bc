"""A trained model as a file for other programs: ONNX, LiteRT (TFLite) and safetensors.
It imports `compat` and `runs`.
"""
