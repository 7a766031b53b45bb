# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration suite."""
from harness.fixtures import *  # noqa: F401, F403
