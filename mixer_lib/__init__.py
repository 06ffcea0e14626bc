"""MLP-Mixer for image classification: one room per idea, in the order of the book."""
