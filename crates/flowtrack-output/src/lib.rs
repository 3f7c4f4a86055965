//! flowtrack-output
