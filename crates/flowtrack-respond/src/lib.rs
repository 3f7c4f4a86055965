//! Decides and applies blocks: safety list, expiry, nftables, dry run.
