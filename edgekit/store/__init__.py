"""The store: finished stages by the digest of what decided them, and the SHA-256 of files that were read before.

Layout of ROOT: entries/KEY/ finished stages; unfinished/KEY/ what resumable stages have so far; work/ what other stages
are making; locks/ one file for each key that a process holds; index/ content hashes, one file a folder of the user's;
latency/ times of layers; timing/ caches of TensorRT.
"""

from edgekit.store.entries import Subject
from edgekit.store.index import Content, ContentIndex, FolderIndex
from edgekit.store.listing import Listed
from edgekit.store.past import PastTimes, Took
from edgekit.store.root import default_root, file_sha256
from edgekit.store.stages import Entry, Store

__all__ = [
    "Content",
    "ContentIndex",
    "Entry",
    "FolderIndex",
    "Listed",
    "PastTimes",
    "Store",
    "Subject",
    "Took",
    "default_root",
    "file_sha256",
]
