"""The verbs: what can be done with containers and executions, and the reconciler that makes intent true."""
