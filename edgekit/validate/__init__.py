"""Measuring what compression cost and won: accuracy with paired statistics, latency in a fresh process, the verdict."""
