//! flowtrack-filter
