"""What the platform does for a user, one module per workflow; below the Python API and the command line.

A workflow wires the packages below and reports progress to a
:class:`~yolosweep.workflows.progress_listener.Listener`. It prints nothing.
"""
