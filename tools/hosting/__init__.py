"""Notebooks for hosts without a clone: Kaggle and Colab."""
