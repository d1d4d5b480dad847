"""Bundles: the directory that a build leaves, its manifest, signatures, bill of materials and the runtime inside it."""
