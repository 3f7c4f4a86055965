//! Frames: their header, their kinds, and the names of what they carry (RFC 9113 section 6).

use crate::Reader;

/// What a client says before its first frame.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's header.
pub(super) const HEADER: usize = 9;
/// Longest payload that may be sent to a peer that did not ask for more.
pub(super) const LENGTH_USUAL: u32 = 16_384;

/// Kinds of frames.
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
    /// The highest that this reader knows.
    pub(crate) const LAST: u8 = CONTINUATION;
}

/// Flags of frames.
pub(super) mod flag {
    pub(crate) const ACK: u8 = 0x01;
    pub(crate) const END_STREAM: u8 = 0x01;
    pub(crate) const END_HEADERS: u8 = 0x04;
    pub(crate) const PADDED: u8 = 0x08;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// The bit before the stream, which should be 0.
    pub(super) reserved: bool,
}

impl Header {
    /// Reads the header at the front of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (length, kind, flags, stream) = (r.u24()?, r.u8()?, r.u8()?, r.u32()?);
        let reserved = stream >> 31 != 0;
        Some(Self { length, kind, flags, stream: stream & 0x7fff_ffff, reserved })
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes of the frame with its header.
    pub(super) const fn whole(&self) -> usize {
        HEADER + self.length as usize
    }

    /// Whether it carries fields, and so changes the table that later ones refer to.
    pub(super) const fn has_fields(&self) -> bool {
        matches!(self.kind, kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION)
    }

    /// Whether it is of a kind whose length is not free, and has another.
    pub(super) const fn has_wrong_length(&self) -> bool {
        match self.kind {
            kind::PRIORITY => self.length != 5,
            kind::RST_STREAM | kind::WINDOW_UPDATE => self.length != 4,
            kind::PING => self.length != 8,
            kind::GOAWAY => self.length < 8,
            kind::SETTINGS => {
                !self.length.is_multiple_of(6) || (self.has(flag::ACK) && self.length > 0)
            }
            kind::PUSH_PROMISE => self.length < 4,
            _ => false,
        }
    }

    /// Whether a sender that keeps to the standard may have sent it: for where it is not known
    /// that a frame begins here.
    pub(super) fn is_usual(&self) -> bool {
        let (flags, on_stream) = match self.kind {
            kind::DATA => (flag::END_STREAM | flag::PADDED, Some(true)),
            kind::HEADERS => {
                (flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY, Some(true))
            }
            kind::PRIORITY | kind::RST_STREAM => (0, Some(true)),
            kind::SETTINGS | kind::PING => (flag::ACK, Some(false)),
            kind::PUSH_PROMISE => (flag::END_HEADERS | flag::PADDED, Some(true)),
            kind::GOAWAY => (0, Some(false)),
            kind::WINDOW_UPDATE => (0, None),
            kind::CONTINUATION => (flag::END_HEADERS, Some(true)),
            _ => return false,
        };
        !self.reserved
            && self.flags & !flags == 0
            && !self.has_wrong_length()
            && self.length <= LENGTH_USUAL
            && on_stream.is_none_or(|on| on == (self.stream != 0))
            && !(self.kind == kind::SETTINGS && self.length > 20 * 6)
            && !(self.kind == kind::GOAWAY && self.length > 1024)
            && !(self.kind == kind::HEADERS && self.length == 0)
    }
}

/// Settings (RFC 9113 section 6.5.2).
pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
}

/// One setting and its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Setting {
    pub(super) id: u16,
    pub(super) value: u32,
}

/// Settings that are kept of one frame.
const SETTINGS_CAP: usize = 64;

/// The settings of a frame, or of a request to change to HTTP/2.
pub(super) fn settings(payload: &[u8]) -> Vec<Setting> {
    let mut r = Reader::new(payload);
    let mut settings = Vec::new();
    while settings.len() < SETTINGS_CAP
        && let (Some(id), Some(value)) = (r.u16(), r.u32())
    {
        settings.push(Setting { id, value });
    }
    settings
}

/// The name of a setting, as EVE writes it.
pub(super) fn setting_name(id: u16) -> Option<&'static str> {
    Some(match id {
        setting::HEADER_TABLE_SIZE => "SETTINGSHEADERTABLESIZE",
        2 => "SETTINGSENABLEPUSH",
        3 => "SETTINGSMAXCONCURRENTSTREAMS",
        4 => "SETTINGSINITIALWINDOWSIZE",
        setting::MAX_FRAME_SIZE => "SETTINGSMAXFRAMESIZE",
        6 => "SETTINGSMAXHEADERLISTSIZE",
        8 => "SETTINGSENABLECONNECTPROTOCOL",
        9 => "SETTINGSNORFC7540PRIORITIES",
        _ => return None,
    })
}

/// The name of an error code (RFC 9113 section 7), as EVE writes it.
pub(super) fn error_name(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "NOERROR",
        1 => "PROTOCOLERROR",
        2 => "INTERNALERROR",
        3 => "FLOWCONTROLERROR",
        4 => "SETTINGSTIMEOUT",
        5 => "STREAMCLOSED",
        6 => "FRAMESIZEERROR",
        7 => "REFUSEDSTREAM",
        8 => "CANCEL",
        9 => "COMPRESSIONERROR",
        10 => "CONNECTERROR",
        11 => "ENHANCEYOURCALM",
        12 => "INADEQUATESECURITY",
        13 => "HTTP11REQUIRED",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_from_other_bytes() {
        let usual = |bytes: &[u8]| Header::read(bytes).is_some_and(|header| header.is_usual());
        // Empty settings, their acknowledgement, a window.
        assert!(usual(&[0, 0, 0, 4, 0, 0, 0, 0, 0]));
        assert!(usual(&[0, 0, 0, 4, 1, 0, 0, 0, 0]));
        assert!(usual(&[0, 0, 4, 8, 0, 0, 0, 0, 1]));
        // Zeros, settings of a stream, a ping that is too short, text.
        assert!(!usual(&[0; 9]));
        assert!(!usual(&[0, 0, 0, 4, 0, 0, 0, 0, 1]));
        assert!(!usual(&[0, 0, 4, 6, 0, 0, 0, 0, 0]));
        assert!(!usual(b"HTTP/1.1 200"));
        assert_eq!(Header::read(&[0; 8]), None);
    }
}
