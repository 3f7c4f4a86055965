//! Doubly linked lists through flow numbers, so that moving a flow costs no memory and no search.

/// No flow.
pub(crate) const NONE: u32 = u32::MAX;

/// The neighbours of one flow in one list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    pub(crate) before: u32,
    pub(crate) behind: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self { before: NONE, behind: NONE }
    }
}

/// Both ends of a list; the links stand with the flows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    first: u32,
    last: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

/// Where the links of the flows of a list stand.
pub(crate) trait Linked {
    /// The links of one flow; `None` where there is no such flow.
    fn links(&mut self, flow: u32) -> Option<&mut Links>;
}

impl List {
    pub(crate) fn first(self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Adds a flow, which is in no other list of the same links, as the last.
    pub(crate) fn push(&mut self, flow: u32, flows: &mut impl Linked) {
        let Some(links) = flows.links(flow) else { return };
        *links = Links { before: self.last, behind: NONE };
        match flows.links(self.last) {
            Some(last) => last.behind = flow,
            None => self.first = flow,
        }
        self.last = flow;
    }

    /// Takes a flow out, which must be in this list.
    pub(crate) fn remove(&mut self, flow: u32, flows: &mut impl Linked) {
        let Some(links) = flows.links(flow) else { return };
        let Links { before, behind } = std::mem::take(links);
        match flows.links(before) {
            Some(links) => links.behind = behind,
            None => self.first = behind,
        }
        match flows.links(behind) {
            Some(links) => links.before = before,
            None => self.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Flows(Vec<Links>);

    impl Linked for Flows {
        fn links(&mut self, flow: u32) -> Option<&mut Links> {
            self.0.get_mut(flow as usize)
        }
    }

    fn all(list: List, flows: &Flows) -> Vec<u32> {
        let next = |&flow: &u32| Some(flows.0[flow as usize].behind).filter(|&flow| flow != NONE);
        std::iter::successors(list.first(), next).collect()
    }

    proptest! {
        #[test]
        fn keeps_order(ops in prop::collection::vec(0..20_u32, 0..200)) {
            let (mut list, mut flows) = (List::default(), Flows(vec![Links::default(); 20]));
            let mut model: Vec<u32> = Vec::new();
            for flow in ops {
                match model.iter().position(|&f| f == flow) {
                    Some(at) => {
                        model.remove(at);
                        list.remove(flow, &mut flows);
                    }
                    None => {
                        model.push(flow);
                        list.push(flow, &mut flows);
                    }
                }
                prop_assert_eq!(all(list, &flows), &model[..]);
            }
        }
    }
}
