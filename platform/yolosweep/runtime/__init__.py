"""Ray on the nodes: the Tune adapter, the trial actor and its ranks, the watchdog, and node admission."""
