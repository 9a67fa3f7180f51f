"""The journal of what no peer can repeat, as far as it is pure.

`recorder` notes changes while an event is handled, `snapshot` describes the whole state in the same
terms, `restoring` makes the state from them again. `format` is how changes lie in a file, `writer`
decides when something is written, synced and compacted. Files themselves are the shell's.
"""
