"""What a program said on stderr, without TensorFlow's log."""

import re

TENSORFLOW_LOG = re.compile(r"WARNING: All log messages before absl|[IW]0000 ")  # 2.21 logs whatever one asks for


def said(stderr):
    """Lines of stderr that are not TensorFlow's."""
    return [line for line in stderr.splitlines() if not TENSORFLOW_LOG.match(line)]
