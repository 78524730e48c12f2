"""Files of other tools as experiments: W&B sweeps, search spaces and results of ``model.tune``, train arguments."""
