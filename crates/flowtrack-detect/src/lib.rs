//! Behaviour that looks like an attack, noticed over events.
