"""``python -m uav_twin_migration.cli``."""

import sys

from uav_twin_migration.cli.main import main

sys.exit(main())
