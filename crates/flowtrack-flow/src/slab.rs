//! Where flows stand: chunks that never move, hot and cold parts apart.

use crate::flow::{Cold, Hot, bits};
use crate::list::{Linked, Links, NONE};

/// Flows in one chunk: a quarter of a megabyte, so that a short run pays for few.
const CHUNK: usize = 512;

struct Chunk<A> {
    hot: Box<[Hot]>,
    cold: Box<[Cold<A>]>,
}

/// All flows of a table by number.
pub(crate) struct Slab<A> {
    chunks: Vec<Chunk<A>>,
    /// First free slot; the others follow through `order`.
    free: u32,
    len: usize,
}

impl<A: Default> Slab<A> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), free: NONE, len: 0 }
    }

    /// Flows now.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn memory(&self) -> usize {
        self.chunks.len() * CHUNK * (size_of::<Hot>() + size_of::<Cold<A>>())
    }

    #[inline]
    pub(crate) fn hot(&self, flow: u32) -> Option<&Hot> {
        let (chunk, slot) = place(flow);
        self.chunks.get(chunk)?.hot.get(slot)
    }

    #[inline]
    pub(crate) fn hot_mut(&mut self, flow: u32) -> Option<&mut Hot> {
        let (chunk, slot) = place(flow);
        self.chunks.get_mut(chunk)?.hot.get_mut(slot)
    }

    #[inline]
    pub(crate) fn get(&self, flow: u32) -> Option<(&Hot, &Cold<A>)> {
        let (chunk, slot) = place(flow);
        let chunk = self.chunks.get(chunk)?;
        Some((chunk.hot.get(slot)?, chunk.cold.get(slot)?))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, flow: u32) -> Option<(&mut Hot, &mut Cold<A>)> {
        let (chunk, slot) = place(flow);
        let chunk = self.chunks.get_mut(chunk)?;
        Some((chunk.hot.get_mut(slot)?, chunk.cold.get_mut(slot)?))
    }

    /// A free slot, empty; `None` where numbers run out.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if self.free == NONE {
            self.add_chunk()?;
        }
        let flow = self.free;
        let (_, cold) = self.get_mut(flow)?;
        let next = std::mem::take(&mut cold.order).behind;
        self.free = next;
        self.len += 1;
        Some(flow)
    }

    /// Empties a slot.
    pub(crate) fn release(&mut self, flow: u32) {
        let free = self.free;
        let Some((hot, cold)) = self.get_mut(flow) else { return };
        *hot = Hot { bits: hot.bits & bits::CHANGED, ..Hot::default() };
        *cold = Cold::default();
        cold.order.behind = free;
        self.free = flow;
        self.len -= 1;
    }

    /// The numbers of all flows.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        (0_u32..)
            .zip(self.chunks.iter().flat_map(|chunk| &chunk.hot))
            .filter_map(|(flow, hot)| hot.has(bits::LIVE).then_some(flow))
    }

    fn add_chunk(&mut self) -> Option<()> {
        let first = u32::try_from(self.chunks.len() * CHUNK).ok()?;
        let last = first.checked_add(CHUNK as u32)?;
        let mut cold: Vec<Cold<A>> = Vec::with_capacity(CHUNK);
        for flow in first..last {
            let behind = if flow + 1 == last { self.free } else { flow + 1 };
            cold.push(Cold { order: Links { before: NONE, behind }, ..Cold::default() });
        }
        self.chunks
            .push(Chunk { hot: vec![Hot::default(); CHUNK].into(), cold: cold.into_boxed_slice() });
        self.free = first;
        Some(())
    }
}

const fn place(flow: u32) -> (usize, usize) {
    (flow as usize / CHUNK, flow as usize % CHUNK)
}

/// The links of the timer wheel.
pub(crate) struct Timers<'a, A>(pub(crate) &'a mut Slab<A>);

impl<A: Default> Linked for Timers<'_, A> {
    fn links(&mut self, flow: u32) -> Option<&mut Links> {
        self.0.get_mut(flow).map(|(_, cold)| &mut cold.timer)
    }
}

/// The links between flows of a class.
pub(crate) struct Order<'a, A>(pub(crate) &'a mut Slab<A>);

impl<A: Default> Linked for Order<'_, A> {
    fn links(&mut self, flow: u32) -> Option<&mut Links> {
        self.0.get_mut(flow).map(|(_, cold)| &mut cold.order)
    }
}
