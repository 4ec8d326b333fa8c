"""The drivers of the contract tests, for tests of what they keep workloads from."""

from tests.contract.conftest import bench, case, data_dir, probes, real

__all__ = ["bench", "case", "data_dir", "probes", "real"]
