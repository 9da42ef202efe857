"""`python -m letrade_topo` is `letrade-topo`."""

import sys

from letrade_topo.cli.main import main

sys.exit(main())
