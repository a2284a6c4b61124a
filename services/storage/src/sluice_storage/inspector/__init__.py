"""Looks into stored files: what they are, how long they last, how loud they are.

A process of its own, without a credential of the object store. The decoders run in a child of it
that may do next to nothing, because a file that somebody uploaded decides what they do.
"""
