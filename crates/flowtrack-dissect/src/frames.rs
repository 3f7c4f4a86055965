//! Frames: the pieces that a protocol sends, cut out of its bytes as they are on the wire.
//!
//! Rules may ask for them by name (`frame:tls.hdr`), whatever a dissector makes of them. A
//! [`Framer`] finds where each begins and ends by its length or its last bytes, no more; it is made
//! only where rules ask.

mod cut;

use cut::{Cut, Parts, Way};
use flowtrack_event::{AppProto, Chunk, Direction, Transaction};

/// Bytes kept of one frame; what lies behind is not searched.
const FRAME_CAP: usize = 128 * 1024;

/// Cuts what both sides of a flow say into frames.
#[derive(Debug)]
pub(crate) struct Framer {
    app: AppProto,
    cut: fn(&mut Way, &[u8]) -> Cut,
    /// Whether datagrams are frames whole, or streams have to be cut.
    is_udp: bool,
    sides: [Side; 2],
}

#[derive(Debug)]
struct Side {
    way: Way,
    pending: Vec<u8>,
    /// Bytes of the frame in hand that are passed over, because it is too long.
    skip: usize,
    /// Whether nobody knows where the next frame begins.
    lost: bool,
}

/// A frame: its bytes, and the names of what is in it.
#[derive(Debug)]
pub(crate) struct Frame {
    app: AppProto,
    direction: Direction,
    bytes: Vec<u8>,
    parts: Parts,
}

impl Framer {
    /// For a protocol whose frames are known.
    pub(crate) fn of(app: AppProto, is_udp: bool) -> Option<Self> {
        let cut = cut::of(app.name(), is_udp)?;
        let sides = [Direction::ToServer, Direction::ToClient].map(|direction| Side {
            way: Way::new(direction),
            pending: Vec::new(),
            skip: 0,
            lost: false,
        });
        Some(Self { app, cut, is_udp, sides })
    }

    /// Takes the next bytes of one direction.
    pub(crate) fn feed(
        &mut self,
        direction: Direction,
        chunk: Chunk<'_>,
        done: &mut dyn FnMut(Frame),
    ) {
        let side = direction.of_mut(&mut self.sides);
        let app = self.app;
        let mut tell = |bytes: &[u8], parts: &Parts| {
            done(Frame { app, direction, bytes: bytes.to_vec(), parts: parts.clone() });
        };
        match chunk {
            Chunk::Bytes(bytes) if self.is_udp => {
                if let Cut::Frame { parts, .. } = (self.cut)(&mut side.way, bytes) {
                    tell(bytes, &parts);
                }
            }
            Chunk::Bytes(bytes) => side.bytes(self.cut, bytes, &mut tell),
            Chunk::Gap(missing) => side.gap(self.cut, missing, &mut tell),
        }
    }

    /// Nothing more comes: tells what is left.
    pub(crate) fn finish(&mut self, direction: Direction, done: &mut dyn FnMut(Frame)) {
        self.feed(direction, Chunk::Gap(u64::MAX), done);
    }
}

impl Side {
    fn bytes(
        &mut self,
        cut: fn(&mut Way, &[u8]) -> Cut,
        bytes: &[u8],
        tell: &mut dyn FnMut(&[u8], &Parts),
    ) {
        let passed = self.skip.min(bytes.len());
        self.skip -= passed;
        let mut bytes = bytes.get(passed..).unwrap_or_default();
        if self.lost {
            let Some(found) = self.way.resume.and_then(|resume| resume(bytes)) else { return };
            self.lost = false;
            bytes = bytes.get(found..).unwrap_or_default();
        }
        let mut pending = std::mem::take(&mut self.pending);
        let held = !pending.is_empty();
        if held {
            pending.extend_from_slice(bytes);
        }
        let mut rest: &[u8] = if held { &pending } else { bytes };
        while !rest.is_empty() && !self.lost {
            match cut(&mut self.way, rest) {
                Cut::Frame { len, parts } if len <= rest.len() => {
                    let (frame, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
                    if !parts.is_empty() {
                        tell(frame, &parts);
                    }
                    // Nothing may stand still.
                    rest = if len == 0 { &[] } else { behind };
                }
                Cut::Frame { len, parts } if rest.len() >= FRAME_CAP => {
                    tell(rest, &parts);
                    self.skip = len - rest.len();
                    rest = &[];
                }
                Cut::Frame { .. } | Cut::More if rest.len() < FRAME_CAP => break,
                Cut::Frame { .. } | Cut::More | Cut::Lost => self.lost = true,
            }
        }
        if self.lost {
            return;
        }
        self.pending = rest.to_vec();
    }

    /// Bytes are missing: what there is of the frame in hand is told, and what follows of it.
    fn gap(
        &mut self,
        cut: fn(&mut Way, &[u8]) -> Cut,
        missing: u64,
        tell: &mut dyn FnMut(&[u8], &Parts),
    ) {
        let pending = std::mem::take(&mut self.pending);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        if pending.is_empty() {
            self.lost = self.skip < missing;
            self.skip = self.skip.saturating_sub(missing);
            return;
        }
        let Cut::Frame { len, parts } = cut(&mut self.way, &pending) else {
            self.lost = true;
            return;
        };
        tell(&pending, &parts);
        match len.saturating_sub(pending.len()).checked_sub(missing) {
            // What is left of it belongs to its last part.
            Some(left) => self.way.left = Some((left, parts)),
            None => self.lost = true,
        }
    }
}

impl Transaction for Frame {
    fn protocol(&self) -> AppProto {
        self.app
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        &()
    }

    fn is_recorded(&self) -> bool {
        false
    }

    fn one_way(&self) -> Option<Direction> {
        Some(self.direction)
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        for (part, from, to) in &self.parts {
            let to = (*to).min(self.bytes.len());
            if *part == name
                && let Some(bytes) = self.bytes.get(*from..to)
                && !bytes.is_empty()
            {
                visit(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a stream that comes in pieces of so many bytes, as `name=text`.
    fn frames(app: &'static str, to: Direction, bytes: &[u8], step: usize) -> Vec<String> {
        let mut framer = Framer::of(AppProto(app), false).unwrap();
        let mut found = Vec::new();
        let mut note = |frame: Frame| {
            for (name, ..) in &frame.parts {
                frame.buffer(name, &mut |bytes| {
                    found.push(format!("{name}={}", String::from_utf8_lossy(bytes)));
                });
            }
        };
        for piece in bytes.chunks(step) {
            framer.feed(to, Chunk::Bytes(piece), &mut note);
        }
        framer.finish(to, &mut note);
        found
    }

    #[test]
    fn a_stream_is_cut_the_same_however_it_comes() {
        let cases: [(&str, Direction, &[u8], &[&str]); 6] = [
            (
                "tls",
                Direction::ToServer,
                b"\x16\x03\x01\x00\x02ab\x15\x03\x03\x00\x01c",
                &[
                    "frame.tls.pdu=\u{16}\u{3}\u{1}\0\u{2}ab",
                    "frame.tls.hdr=\u{16}\u{3}\u{1}\0\u{2}",
                    "frame.tls.data=ab",
                    "frame.tls.pdu=\u{15}\u{3}\u{3}\0\u{1}c",
                    "frame.tls.hdr=\u{15}\u{3}\u{3}\0\u{1}",
                    "frame.tls.data=c",
                    "frame.tls.alert=c",
                ],
            ),
            (
                "smtp",
                Direction::ToServer,
                b"HELO a\r\nDATA\r\nx\r\ny\r\n.\r\nQUIT\r\n",
                &[
                    "frame.smtp.command_line=HELO a\r\n",
                    "frame.smtp.command_line=DATA\r\n",
                    "frame.smtp.data=x\r\ny\r\n.\r\n",
                    "frame.smtp.command_line=QUIT\r\n",
                ],
            ),
            (
                "sip",
                Direction::ToClient,
                b"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
                &[
                    "frame.sip.pdu=SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
                    "frame.sip.response.line=SIP/2.0 200 OK\r\n",
                    "frame.sip.response.headers=Content-Length: 2\r\n",
                    "frame.sip.response.body=ab",
                ],
            ),
            (
                "dns",
                Direction::ToServer,
                b"\0\x03abc\0\x01d",
                &["frame.dns.pdu=abc", "frame.dns.pdu=d"],
            ),
            (
                "ssh",
                Direction::ToServer,
                b"SSH-2.0-x\r\n\0\0\0\x04\x01\x14ab",
                &[
                    "frame.ssh.record.pdu=\0\0\0\u{4}\u{1}\u{14}ab",
                    "frame.ssh.record.hdr=\0\0\0\u{4}\u{1}\u{14}",
                    "frame.ssh.record.data=ab",
                ],
            ),
            (
                "telnet",
                Direction::ToClient,
                b"\xff\xfd\x01login: \r\n",
                &["frame.telnet.ctl=\u{fffd}\u{fffd}\u{1}", "frame.telnet.data=login: \r\n"],
            ),
        ];
        for (app, to, bytes, expected) in cases {
            for step in [1, 3, 7, 1000] {
                assert_eq!(frames(app, to, bytes, step), expected, "{app} by {step}");
            }
        }
    }

    #[test]
    fn what_is_behind_a_hole_inside_a_frame_is_of_the_frame() {
        let mut framer = Framer::of(AppProto("smb"), false).unwrap();
        let mut data = Vec::new();
        let mut note = |frame: Frame| {
            frame.buffer("frame.smb2.data", &mut |bytes| data.push(bytes.to_vec()));
        };
        let mut head = b"\0\0\0\x50\xfeSMB\x40\0".to_vec();
        head.resize(4 + 64, 0);
        head.extend_from_slice(b"front");
        framer.feed(Direction::ToServer, Chunk::Bytes(&head), &mut note);
        framer.feed(Direction::ToServer, Chunk::Gap(7), &mut note);
        framer.feed(Direction::ToServer, Chunk::Bytes(b"back"), &mut note);
        framer.feed(Direction::ToServer, Chunk::Bytes(&head[..68]), &mut note);
        framer.feed(Direction::ToServer, Chunk::Bytes(&[b'n'; 16]), &mut note);
        assert_eq!(data, [b"front".to_vec(), b"back".to_vec(), vec![b'n'; 16]]);
    }
}
