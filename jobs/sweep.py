"""Run a sweep as a plain Ray job: ``ray job submit … -- python jobs/sweep.py EXPERIMENT [KEY=VALUE…]``.

The nodes need yolosweep, and ``storage`` must be a folder or bucket that all of them share. ``yolosweep submit`` does
the same, and also sends its own code, small data and encrypted credentials. Start the head with
``RAY_JOB_STOP_WAIT_TIME_S=60``, as the files in ``cluster/`` do; otherwise ``ray job stop`` kills this job after 3 s.
"""

import sys

from yolosweep.cli.job_driver import main

if __name__ == "__main__":
    sys.exit(main())
