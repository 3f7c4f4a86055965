//! Application protocols: bytes of a stream in, transactions out.
