//! flowtrack-engine
