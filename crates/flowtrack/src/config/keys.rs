//! Every setting and what it means.

/// One setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Section and name, such as `flow.max_flows`.
    pub name: &'static str,
    /// What it does, and in which unit.
    pub doc: &'static str,
}

const fn key(name: &'static str, doc: &'static str) -> Key {
    Key { name, doc }
}

/// All settings.
pub const KEYS: &[Key] = &[
    key("capture.interfaces", "interfaces to capture on, or `any`; empty for the one with the default route"),
];
