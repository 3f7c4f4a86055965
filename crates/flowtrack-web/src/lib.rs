//! flowtrack-web
