//! One value for each direction of a flow.

use flowtrack_event::Direction;

/// One value for each direction of a flow.
#[derive(Clone, Default, Debug)]
pub struct Both<T> {
    /// Of what the client sends.
    pub to_server: T,
    /// Of what the server sends.
    pub to_client: T,
}

impl<T> Both<T> {
    /// That of one direction.
    pub const fn of(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}
