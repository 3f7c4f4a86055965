//! Every protocol: one file below this one, and one line here.

use crate::Protocol;

/// Declares the module of each protocol and lists them.
macro_rules! protocols {
    ($($module:ident :: $name:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// All protocols, in the order in which they are probed.
        pub const ALL: &[&dyn Protocol] = &[$(&$module::$name),*];
    };
}

protocols! {
    dcerpc::Dcerpc,
    dns::Dns,
    krb5::Krb5,
    ldap::Ldap,
    nfs::Nfs,
    rdp::Rdp,
    rfb::Rfb,
    smb::Smb,
    ssh::Ssh,
    telnet::Telnet,
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn names_are_unique_per_transport() {
        let mut names: Vec<_> =
            ALL.iter().map(|p| (p.name(), format!("{:?}", p.transport()))).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
