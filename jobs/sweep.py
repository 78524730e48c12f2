"""A sweep as a plain Ray job: ``ray job submit … -- python jobs/sweep.py EXPERIMENT [KEY=VALUE…]``.

yolosweep has to be installed on the nodes, and ``storage`` to be a folder that all of them see. ``yolosweep submit``
does the same, and brings its own code, small data, and credentials that nobody can read on the way.
"""

import sys

from yolosweep.cli.job_driver import main

if __name__ == "__main__":
    sys.exit(main())
