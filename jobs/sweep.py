"""A sweep as a plain Ray job: ``ray job submit … -- python jobs/sweep.py EXPERIMENT [KEY=VALUE…]``.

yolosweep has to be installed on the nodes, and ``storage`` to be a folder that all of them see. ``yolosweep submit``
does the same, and brings its own code, small data, and credentials that nobody can read on the way. Start the head with
``RAY_JOB_STOP_WAIT_TIME_S=60`` (the files in ``cluster/`` do): else ``ray job stop`` kills this after 3 s.
"""

import sys

from yolosweep.cli.job_driver import main

if __name__ == "__main__":
    sys.exit(main())
