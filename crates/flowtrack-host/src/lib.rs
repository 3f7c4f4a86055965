//! flowtrack-host
