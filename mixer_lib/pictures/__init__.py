"""Pictures of the reader's own: reading files as they are seen, folders as data sets, copies among them, splits.
It imports `validation`, and knows no Keras.
"""
