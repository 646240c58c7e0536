"""Pure decisions: what a call is, and what a PBX's word about it changes. No I/O, no clock."""
