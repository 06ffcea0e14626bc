"""Render the book as HTML and PDF."""
