//! A few rows by names of the program's own.

/// Rows by name. A name comes nearly always as the very same pointer, which is told apart quicker
/// than its letters are, and there are a few dozen names at most.
#[derive(Clone, Debug)]
pub(super) struct Named<V> {
    rows: Vec<(&'static str, V)>,
}

impl<V: Copy + Default> Named<V> {
    /// The row of a name, begun where there is none.
    pub(super) fn row(&mut self, name: &'static str) -> &mut V {
        let rows = &mut self.rows;
        let at = rows
            .iter()
            .position(|(known, _)| std::ptr::eq(*known, name))
            .or_else(|| rows.iter().position(|(known, _)| *known == name))
            .unwrap_or_else(|| {
                rows.push((name, V::default()));
                rows.len() - 1
            });
        &mut rows[at].1
    }

    /// All rows in the order of their names.
    pub(super) fn sorted(&self) -> Vec<(&'static str, V)> {
        let mut rows = self.rows.clone();
        rows.sort_unstable_by_key(|(name, _)| *name);
        rows
    }
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self { rows: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::Named;

    #[test]
    fn equal_letters_are_one_name() {
        let mut named = Named::<u64>::default();
        let again: &'static str = String::from("tcp").leak();
        for name in ["tcp", "arp", again, "tcp"] {
            *named.row(name) += 1;
        }
        assert_eq!(named.sorted(), [("arp", 1), ("tcp", 3)]);
    }
}
