//! Messages of Kerberos, as far as they are in the clear.

use super::NAME;
use crate::Keyword;
use crate::ber::{self, Ber};
use flowtrack_event::{AppProto, Direction, LoginOutcome, Transaction, WireText};
use serde::ser::{Serialize, SerializeMap, Serializer};

const AS_REQ: u8 = 10;
const AS_REP: u8 = 11;
const TGS_REQ: u8 = 12;
const TGS_REP: u8 = 13;
const ERROR: u8 = 30;
/// Parts of a name that are kept, and bytes of each.
const PART_CAP: usize = 16;
const TEXT_CAP: usize = 256;

/// A message.
#[derive(Clone, Default, Debug)]
pub struct Message {
    kind: u8,
    direction: Option<Direction>,
    cname: Option<Name>,
    realm: Option<Vec<u8>>,
    sname: Option<Name>,
    encryption: Option<i32>,
    ticket_encryption: Option<i32>,
    error: Option<i32>,
    refused: Option<u8>,
}

/// Name of a user or service: its parts.
type Name = Vec<Vec<u8>>;

impl Message {
    /// Reads a message; `None` where it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, value) = Ber::new(bytes).next()?;
        // Messages are of class APPLICATION.
        if tag & 0xe0 != 0x60 {
            return None;
        }
        let kind = tag & 0x1f;
        let fields = Ber::new(value).inside(ber::SEQUENCE)?;
        let mut message = Self { kind, ..Self::default() };
        match kind {
            AS_REQ | TGS_REQ => message.read_request(fields),
            AS_REP | TGS_REP => message.read_reply(fields),
            ERROR => message.read_error(fields),
            14..=15 | 20..=22 => {}
            _ => return None,
        }
        Some(message)
    }

    /// Says which way it goes.
    pub const fn goes(&mut self, direction: Direction) {
        self.direction = Some(direction);
    }

    /// Its type.
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// Whether it asks for a ticket.
    pub const fn is_request(&self) -> bool {
        matches!(self.kind, AS_REQ | TGS_REQ)
    }

    /// Tells an error which request it refuses.
    pub fn answers(&mut self, request: Option<u8>) {
        if self.kind == ERROR {
            self.refused = request;
        }
    }

    /// Who asks.
    pub fn client(&self) -> Vec<u8> {
        self.cname.as_ref().map(join).unwrap_or_default()
    }

    /// What an answer means for who logs on; asked for a proof at first, nobody is refused.
    pub const fn login(&self) -> Option<LoginOutcome> {
        match (self.kind, self.refused, self.error) {
            (AS_REP, _, _) => Some(LoginOutcome::Granted),
            // Unknown, locked, expired, wrong (RFC 4120 section 7.5.9).
            (ERROR, Some(AS_REQ), Some(6 | 18 | 23 | 24)) => Some(LoginOutcome::Refused),
            _ => None,
        }
    }

    fn read_request(&mut self, mut fields: Ber<'_>) {
        const BODY: u8 = 0xa4;
        while let Some((tag, value)) = fields.next() {
            if tag != BODY {
                continue;
            }
            let Some(mut body) = Ber::new(value).inside(ber::SEQUENCE) else { continue };
            while let Some((tag, value)) = body.next() {
                match tag {
                    0xa1 => self.cname = name(value),
                    0xa2 => self.realm = text(value),
                    0xa3 => self.sname = name(value),
                    _ => {}
                }
            }
        }
    }

    fn read_reply(&mut self, mut fields: Ber<'_>) {
        while let Some((tag, value)) = fields.next() {
            match tag {
                0xa3 => self.realm = text(value),
                0xa4 => self.cname = name(value),
                0xa5 => self.read_ticket(value).unwrap_or_default(),
                0xa6 => self.encryption = encryption(value),
                _ => {}
            }
        }
    }

    fn read_ticket(&mut self, value: &[u8]) -> Option<()> {
        const TICKET: u8 = 0x61;
        let mut fields = Ber::new(value).inside(TICKET)?.inside(ber::SEQUENCE)?;
        while let Some((tag, value)) = fields.next() {
            match tag {
                0xa2 => self.sname = name(value),
                0xa3 => self.ticket_encryption = encryption(value),
                _ => {}
            }
        }
        Some(())
    }

    fn read_error(&mut self, mut fields: Ber<'_>) {
        while let Some((tag, value)) = fields.next() {
            match tag {
                0xa6 => self.error = integer(value),
                0xa7 => self.realm = text(value),
                0xa8 => self.cname = name(value),
                0xaa => self.sname = name(value),
                _ => {}
            }
        }
    }
}

fn text(value: &[u8]) -> Option<Vec<u8>> {
    let (_, text) = Ber::new(value).next()?;
    Some(text.get(..TEXT_CAP).unwrap_or(text).to_vec())
}

fn name(value: &[u8]) -> Option<Name> {
    let mut fields = Ber::new(value).inside(ber::SEQUENCE)?;
    let _kind = fields.value(0xa0)?;
    let mut parts = fields.inside(0xa1)?.inside(ber::SEQUENCE)?;
    let mut found = Vec::new();
    while let Some((_, part)) = parts.next() {
        if found.len() == PART_CAP {
            break;
        }
        found.push(part.get(..TEXT_CAP).unwrap_or(part).to_vec());
    }
    Some(found)
}

/// Kind of encryption of an `EncryptedData`.
fn encryption(value: &[u8]) -> Option<i32> {
    integer(Ber::new(value).inside(ber::SEQUENCE)?.value(0xa0)?)
}

fn integer(value: &[u8]) -> Option<i32> {
    let digits = Ber::new(value).value(ber::INTEGER)?;
    let negative = digits.first()? & 0x80 != 0;
    let start = if negative { -1 } else { 0 };
    (digits.len() <= 4).then(|| digits.iter().fold(start, |n, &b| n << 8 | i32::from(b)))
}

fn join(name: &Name) -> Vec<u8> {
    name.join(&b'/')
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let or_empty = |text: Option<Vec<u8>>| text.unwrap_or_else(|| b"<empty>".to_vec());
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("msg_type", &kind_name(self.kind))?;
        let cname = or_empty(self.cname.as_ref().map(join));
        map.serialize_entry("cname", &WireText(&cname))?;
        map.serialize_entry("realm", &WireText(&or_empty(self.realm.clone())))?;
        let sname = or_empty(self.sname.as_ref().map(join));
        map.serialize_entry("sname", &WireText(&sname))?;
        let encryption = self.encryption.map_or_else(|| "<none>".into(), encryption_name);
        map.serialize_entry("encryption", &encryption)?;
        map.serialize_entry("weak_encryption", &self.encryption.is_some_and(is_weak))?;
        if let Some(ticket) = self.ticket_encryption {
            map.serialize_entry("ticket_encryption", &encryption_name(ticket))?;
            map.serialize_entry("ticket_weak_encryption", &is_weak(ticket))?;
        }
        if self.kind == ERROR {
            let refused = self.refused.map_or_else(|| "<unknown>".to_owned(), kind_name);
            map.serialize_entry("failed_request", &refused)?;
        }
        if let Some(error) = self.error {
            map.serialize_entry("error_code", &error_name(error))?;
        }
        map.end()
    }
}

impl Transaction for Message {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        self.direction
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let name = match (name, self.direction) {
            ("krb5.cname", Some(Direction::ToClient)) => &self.cname,
            ("krb5.sname", Some(Direction::ToClient)) => &self.sname,
            _ => return,
        };
        name.iter().flatten().for_each(|part| visit(part));
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        match name {
            _ if self.direction != Some(direction) => {}
            "krb5_msg_type" => visit(self.kind.into()),
            "krb5_err_code" => self.error.iter().for_each(|&code| visit(wrapped(code))),
            "krb5.ticket_encryption" => {
                self.ticket_encryption.iter().for_each(|&kind| visit(wrapped(kind)));
            }
            "krb5.ticket_weak_encryption" => {
                self.ticket_encryption.iter().for_each(|&kind| visit(is_weak(kind).into()));
            }
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let mut text = kind_name(self.kind);
        let (cname, sname) = (self.cname.as_ref().map(join), self.sname.as_ref().map(join));
        for name in [cname, sname].into_iter().flatten() {
            text.push_str(&format!(" {}", WireText(&name)));
        }
        if let Some(error) = self.error {
            text.push_str(&format!(" {}", error_name(error)));
        }
        if let Some(encryption) = self.ticket_encryption.filter(|&e| is_weak(e)) {
            text.push_str(&format!(" (weak: {})", encryption_name(encryption)));
        }
        text
    }
}

fn kind_name(kind: u8) -> String {
    let name = match kind {
        AS_REQ => "KRB_AS_REQ",
        AS_REP => "KRB_AS_REP",
        TGS_REQ => "KRB_TGS_REQ",
        TGS_REP => "KRB_TGS_REP",
        14 => "KRB_AP_REQ",
        15 => "KRB_AP_REP",
        20 => "KRB_SAFE",
        21 => "KRB_PRIV",
        22 => "KRB_CRED",
        ERROR => "KRB_ERROR",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Encryption by DES, RC4 or nothing.
const fn is_weak(encryption: i32) -> bool {
    matches!(encryption, 0..=4 | 15 | 23..=24 | -135..=-1)
}

/// Kinds of encryption (IANA, Kerberos Encryption Type Numbers).
const ENCRYPTIONS: &[(&str, u64)] = &[
    ("null", 0),
    ("des-cbc-crc", 1),
    ("des-cbc-md4", 2),
    ("des-cbc-md5", 3),
    ("des3-cbc-md5", 5),
    ("des3-cbc-sha1", 7),
    ("dsaWithSHA1-CmsOID", 9),
    ("md5WithRSAEncryption-CmsOID", 10),
    ("sha1WithRSAEncryption-CmsOID", 11),
    ("rc2CBC-EnvOID", 12),
    ("rsaEncryption-EnvOID", 13),
    ("rsaES-OAEP-ENV-OID", 14),
    ("des-ede3-cbc-Env-OID", 15),
    ("des3-cbc-sha1-kd", 16),
    ("aes128-cts-hmac-sha1-96", 17),
    ("aes256-cts-hmac-sha1-96", 18),
    ("aes128-cts-hmac-sha256-128", 19),
    ("aes256-cts-hmac-sha384-192", 20),
    ("rc4-hmac", 23),
    ("rc4-hmac-exp", 24),
    ("camellia128-cts-cmac", 25),
    ("camellia256-cts-cmac", 26),
    ("subkey-keymaterial", 65),
    ("rc4-md4", wrapped(-128)),
    ("rc4-hmac-old", wrapped(-133)),
    ("rc4-hmac-old-exp", wrapped(-135)),
];

/// What rules compare: numbers below zero as two's complement.
const fn wrapped(number: i32) -> u64 {
    (number as i64).cast_unsigned()
}

fn encryption_name(encryption: i32) -> String {
    let known = ENCRYPTIONS.iter().find(|(_, number)| *number == wrapped(encryption));
    known.map_or_else(|| encryption.to_string(), |(name, _)| (*name).to_owned())
}

/// What rules may ask for.
pub const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("krb5.cname", "parts of the client's name").to_client().multi(),
    Keyword::buffer("krb5.sname", "parts of the service's name").to_client().multi(),
    Keyword::number("krb5_msg_type", "type of the message"),
    Keyword::number("krb5_err_code", "why a request was refused"),
    Keyword::number("krb5.ticket_encryption", "encryption of a ticket, as two's complement")
        .named(ENCRYPTIONS),
    Keyword::number("krb5.ticket_weak_encryption", "1 where that encryption is weak, else 0"),
];

fn error_name(error: i32) -> String {
    let name = match error {
        0 => "KDC_ERR_NONE",
        1 => "KDC_ERR_NAME_EXP",
        2 => "KDC_ERR_SERVICE_EXP",
        3 => "KDC_ERR_BAD_PVNO",
        4 => "KDC_ERR_C_OLD_MAST_KVNO",
        5 => "KDC_ERR_S_OLD_MAST_KVNO",
        6 => "KDC_ERR_C_PRINCIPAL_UNKNOWN",
        7 => "KDC_ERR_S_PRINCIPAL_UNKNOWN",
        8 => "KDC_ERR_PRINCIPAL_NOT_UNIQUE",
        9 => "KDC_ERR_NULL_KEY",
        10 => "KDC_ERR_CANNOT_POSTDATE",
        11 => "KDC_ERR_NEVER_VALID",
        12 => "KDC_ERR_POLICY",
        13 => "KDC_ERR_BADOPTION",
        14 => "KDC_ERR_ETYPE_NOSUPP",
        15 => "KDC_ERR_SUMTYPE_NOSUPP",
        16 => "KDC_ERR_PADATA_TYPE_NOSUPP",
        17 => "KDC_ERR_TRTYPE_NOSUPP",
        18 => "KDC_ERR_CLIENT_REVOKED",
        19 => "KDC_ERR_SERVICE_REVOKED",
        20 => "KDC_ERR_TGT_REVOKED",
        21 => "KDC_ERR_CLIENT_NOTYET",
        22 => "KDC_ERR_SERVICE_NOTYET",
        23 => "KDC_ERR_KEY_EXPIRED",
        24 => "KDC_ERR_PREAUTH_FAILED",
        25 => "KDC_ERR_PREAUTH_REQUIRED",
        26 => "KDC_ERR_SERVER_NOMATCH",
        27 => "KDC_ERR_MUST_USE_USER2USER",
        28 => "KDC_ERR_PATH_NOT_ACCEPTED",
        29 => "KDC_ERR_SVC_UNAVAILABLE",
        31 => "KRB_AP_ERR_BAD_INTEGRITY",
        32 => "KRB_AP_ERR_TKT_EXPIRED",
        33 => "KRB_AP_ERR_TKT_NYV",
        34 => "KRB_AP_ERR_REPEAT",
        35 => "KRB_AP_ERR_NOT_US",
        36 => "KRB_AP_ERR_BADMATCH",
        37 => "KRB_AP_ERR_SKEW",
        38 => "KRB_AP_ERR_BADADDR",
        39 => "KRB_AP_ERR_BADVERSION",
        40 => "KRB_AP_ERR_MSG_TYPE",
        41 => "KRB_AP_ERR_MODIFIED",
        42 => "KRB_AP_ERR_BADORDER",
        44 => "KRB_AP_ERR_BADKEYVER",
        45 => "KRB_AP_ERR_NOKEY",
        46 => "KRB_AP_ERR_MUT_FAIL",
        47 => "KRB_AP_ERR_BADDIRECTION",
        48 => "KRB_AP_ERR_METHOD",
        49 => "KRB_AP_ERR_BADSEQ",
        50 => "KRB_AP_ERR_INAPP_CKSUM",
        51 => "KRB_AP_PATH_NOT_ACCEPTED",
        52 => "KRB_ERR_RESPONSE_TOO_BIG",
        60 => "KRB_ERR_GENERIC",
        61 => "KRB_ERR_FIELD_TOOLONG",
        62 => "KDC_ERR_CLIENT_NOT_TRUSTED",
        63 => "KDC_ERR_KDC_NOT_TRUSTED",
        64 => "KDC_ERR_INVALID_SIG",
        65 => "KDC_ERR_DH_KEY_PARAMETERS_NOT_ACCEPTED",
        66 => "KDC_ERR_CERTIFICATE_MISMATCH",
        67 => "KRB_AP_ERR_NO_TGT",
        68 => "KDC_ERR_WRONG_REALM",
        69 => "KRB_AP_ERR_USER_TO_USER_REQUIRED",
        other => return format!("unknown ({other})"),
    };
    name.to_owned()
}
