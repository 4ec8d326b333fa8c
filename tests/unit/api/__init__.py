"""Tests of the API layer over services in memory."""
