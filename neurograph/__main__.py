"""``python -m neurograph``: the command line."""

import sys

from neurograph.cli import main

sys.exit(main())
