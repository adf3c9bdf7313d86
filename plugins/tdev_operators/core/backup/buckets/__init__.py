"""Snapshots of the source's buckets: what changed is packed or copied, what did not is referred to.

index        one line an object, in key order: where its bytes are, in this set or in an earlier one
walk         a live listing beside the previous index
packs        small objects in plain tars, found again by ranged reads
storing      what changed: packs, copies, and objects that change or vanish meanwhile
rotation     which unchanged objects are read again this time, and whether their bytes still hold
snapshot     the run itself
report       what a run says of itself
stored       stored bytes, read in few requests and held against what is known of them
read         objects out of a snapshot, a sample to prove, and every copy that a set made
references   whether what the database refers to is in the snapshot
"""
