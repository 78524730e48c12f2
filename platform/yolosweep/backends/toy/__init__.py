"""The toy family: a model that trains in a second, for tests and for learning."""
