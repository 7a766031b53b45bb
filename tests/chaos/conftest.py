# SPDX-License-Identifier: Apache-2.0
"""The chaos suite stands on the integration suite's harness, fixtures and hooks."""
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
INTEGRATION = HERE.parent / "integration"
sys.path[:0] = [str(p) for p in (HERE, INTEGRATION) if str(p) not in sys.path]

_spec = importlib.util.spec_from_file_location("integration_conftest", INTEGRATION / "conftest.py")
_integration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_integration)
globals().update({k: v for k, v in vars(_integration).items() if not k.startswith("__") and k not in globals()})
