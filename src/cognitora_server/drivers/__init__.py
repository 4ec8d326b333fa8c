"""Drivers make sandboxes. One contract (`base`), several technologies; siblings never import each other."""
