//! The state of a TCP session as an observer between both ends sees it, named from the server's
//! point of view (RFC 9293 section 3.3.2).

use flowtrack_event::{FlowState, TcpState};

/// What one segment means for the session.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Event {
    pub(crate) from_client: bool,
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) fin: bool,
    /// A RST that the receiver would believe.
    pub(crate) rst: bool,
    /// Both SYNs were seen and acknowledged.
    pub(crate) handshake_done: bool,
    /// Acknowledges the FIN of the other side.
    pub(crate) acks_fin: bool,
    /// Whether a session may begin without its handshake.
    pub(crate) midstream: bool,
}

/// The state after a segment.
pub(crate) fn next(state: TcpState, event: Event) -> TcpState {
    if event.rst {
        return if state == TcpState::None { state } else { TcpState::Closed };
    }
    let opened = match state {
        TcpState::None if event.syn && !event.ack => TcpState::SynSent,
        TcpState::None if event.syn && event.midstream => TcpState::SynRecv,
        TcpState::None if event.ack && event.midstream => TcpState::Established,
        TcpState::SynSent | TcpState::SynRecv if event.handshake_done => TcpState::Established,
        TcpState::SynSent if event.syn && !event.from_client => TcpState::SynRecv,
        state => state,
    };
    match opened {
        TcpState::Established if event.fin && event.from_client => TcpState::CloseWait,
        TcpState::Established if event.fin => TcpState::FinWait1,
        // The server closed first.
        TcpState::FinWait1 if event.fin && event.from_client => {
            if event.acks_fin {
                TcpState::TimeWait
            } else {
                TcpState::Closing
            }
        }
        TcpState::FinWait1 if event.from_client && event.acks_fin => TcpState::FinWait2,
        TcpState::FinWait2 if event.fin && event.from_client => TcpState::TimeWait,
        TcpState::Closing if event.from_client && event.acks_fin => TcpState::TimeWait,
        TcpState::TimeWait if !event.from_client && event.acks_fin => TcpState::Closed,
        // The client closed first.
        TcpState::CloseWait if event.fin && !event.from_client => TcpState::LastAck,
        TcpState::LastAck if event.from_client && event.acks_fin => TcpState::Closed,
        state => state,
    }
}

/// How far the flow of such a session has come.
pub(crate) const fn flow_state(state: TcpState) -> FlowState {
    match state {
        TcpState::None | TcpState::SynSent | TcpState::SynRecv => FlowState::New,
        TcpState::Established
        | TcpState::FinWait1
        | TcpState::FinWait2
        | TcpState::CloseWait
        | TcpState::Closing => FlowState::Established,
        TcpState::TimeWait | TcpState::LastAck | TcpState::Closed => FlowState::Closed,
    }
}

/// Whether a SYN with another initial sequence number begins another session: what was seen of the
/// one before is its end, or it is over.
pub(crate) const fn may_be_reused(state: TcpState) -> bool {
    matches!(
        state,
        TcpState::None
            | TcpState::TimeWait
            | TcpState::LastAck
            | TcpState::CloseWait
            | TcpState::Closing
            | TcpState::Closed
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use TcpState::*;

    /// `C` or `S` sends; then `s` SYN, `a` ACK, `f` FIN, `r` RST, `h` completes the handshake,
    /// `F` acknowledges the other side's FIN.
    fn check(midstream: bool, segments: &str, states: &[TcpState]) {
        let mut state = None;
        let mut got = Vec::new();
        for segment in segments.split(' ') {
            state = next(
                state,
                Event {
                    from_client: segment.starts_with('C'),
                    syn: segment.contains('s'),
                    ack: segment.contains('a'),
                    fin: segment.contains('f'),
                    rst: segment.contains('r'),
                    handshake_done: segment.contains('h'),
                    acks_fin: segment.contains('F'),
                    midstream,
                },
            );
            got.push(state);
        }
        assert_eq!(got, states, "{segments}");
    }

    #[test]
    fn follows_sessions() {
        for (segments, states) in [
            ("Cs Ssa Cah", &[SynSent, SynRecv, Established][..]),
            (
                "Cs Ssa Cah Cfa Sa SfaF CaF",
                &[SynSent, SynRecv, Established, CloseWait, CloseWait, LastAck, Closed],
            ),
            (
                "Cs Ssa Cah Sfa CaF Cfa SaF",
                &[SynSent, SynRecv, Established, FinWait1, FinWait2, TimeWait, Closed],
            ),
            (
                "Cs Ssa Cah Sfa CfaF SaF",
                &[SynSent, SynRecv, Established, FinWait1, TimeWait, Closed],
            ),
            (
                "Cs Ssa Cah Sfa Cfa CaF SaF",
                &[SynSent, SynRecv, Established, FinWait1, Closing, TimeWait, Closed],
            ),
            ("Cs Ssa Cahf", &[SynSent, SynRecv, CloseWait]),
            ("Cs Sra", &[SynSent, Closed]),
            ("Cs Ssa Cr", &[SynSent, SynRecv, Closed]),
            ("Cs Ssa Cah Sr Ca", &[SynSent, SynRecv, Established, Closed, Closed]),
            // Each side sends a SYN and acknowledges the other's on its own.
            ("Cs Ss Ca Sah", &[SynSent, SynRecv, SynRecv, Established]),
            ("Cs Cs", &[SynSent, SynSent]),
            ("Ca Sa Cfa", &[None, None, None]),
            ("Ssa Cs Cah", &[None, SynSent, Established]),
            ("Cr", &[None]),
        ] {
            check(false, segments, states);
        }
    }

    #[test]
    fn picks_up_midstream_when_told() {
        check(true, "Ca Sa Cfa", &[Established, Established, CloseWait]);
        check(true, "Ssa Cah", &[SynRecv, Established]);
        check(true, "Cr", &[None]);
    }
}
