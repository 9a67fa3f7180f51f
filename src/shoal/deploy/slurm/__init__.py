"""Clusters in the queue of Slurm."""
