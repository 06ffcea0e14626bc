"""Run the chapters, open them in JupyterLab, publish what they printed."""
