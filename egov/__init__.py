"""Companion services of the city joined to 112 on one small kernel.

Empty so far: the kernel and the services come with their own changes.
"""
