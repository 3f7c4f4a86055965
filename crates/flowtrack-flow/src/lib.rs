//! flowtrack-flow
