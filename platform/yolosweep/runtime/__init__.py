"""Ray on the nodes: the Tune adapter, the trial actor, its ranks, the watchdog, and node admission."""
