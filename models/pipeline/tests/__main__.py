"""`python -m pipeline.tests`: all of them, their summary on standard output."""

import sys
import unittest
from pathlib import Path

folder = Path(__file__).resolve().parent
found = unittest.defaultTestLoader.discover(str(folder), top_level_dir=str(folder.parents[1]))
result = unittest.TextTestRunner(stream=sys.stdout).run(found)
sys.exit(not result.wasSuccessful())
