"""DRAM at the level of transfers: bursts in, completion times out, with the state of every bank in between."""
