//! Keys of Initial packets: made from a connection ID that everybody can read (RFC 9001 section
//! 5.2), so that only those who saw the first packet can read the hellos.

use super::packet::Long;
use super::version::{self, Recipe};
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::aes::Aes128;
use aes_gcm::aes::cipher::BlockCipherEncrypt as _;
use aes_gcm::{Aes128Gcm, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;

const KEY: usize = 16;
const IV: usize = 12;
const TAG: usize = 16;

/// Who sent a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// The keys of both sides.
pub struct Keys {
    client: SideKeys,
    server: SideKeys,
}

struct SideKeys {
    packet: Aes128Gcm,
    header: Aes128,
    iv: [u8; IV],
}

impl Keys {
    /// From the connection ID that the client chose for the server in its first packet.
    pub fn initial(version: u32, dcid: &[u8]) -> Option<Self> {
        let recipe = version::recipe(version)?;
        let secret = Hkdf::<Sha256>::new(Some(&recipe.salt), dcid);
        Some(Self {
            client: SideKeys::derive(&secret, b"client in", &recipe)?,
            server: SideKeys::derive(&secret, b"server in", &recipe)?,
        })
    }

    /// Decrypts a packet; `None` where it is damaged or not made with these keys.
    pub fn open(&self, sender: Sender, packet: &Long<'_>) -> Option<Vec<u8>> {
        let keys = match sender {
            Sender::Client => &self.client,
            Sender::Server => &self.server,
        };
        keys.open(packet)
    }
}

impl SideKeys {
    fn derive(secret: &Hkdf<Sha256>, who: &[u8], recipe: &Recipe) -> Option<Self> {
        let mut side = [0; 32];
        expand_label(secret, who, &mut side)?;
        let side = Hkdf::<Sha256>::from_prk(&side).ok()?;
        let [key_label, iv_label, header_label] = recipe.labels;
        let (mut key, mut iv, mut header) = ([0; KEY], [0; IV], [0; KEY]);
        expand_label(&side, key_label, &mut key)?;
        expand_label(&side, iv_label, &mut iv)?;
        expand_label(&side, header_label, &mut header)?;
        Some(Self { packet: Aes128Gcm::new(&key.into()), header: Aes128::new(&header.into()), iv })
    }

    fn open(&self, packet: &Long<'_>) -> Option<Vec<u8>> {
        /// The sample begins where the packet number would end if it were longest.
        const LONGEST_NUMBER: usize = 4;
        let sample_at = packet.number_at.checked_add(LONGEST_NUMBER)?;
        let sample = packet.bytes.get(sample_at..)?.first_chunk::<16>()?;
        let mut mask = (*sample).into();
        self.header.encrypt_block(&mut mask);
        let [first_mask, number_mask @ ..] = <[u8; 16]>::from(mask);

        let first = packet.bytes.first()? ^ (first_mask & 0x0f);
        let number_length = usize::from(first & 3) + 1;
        let body_at = packet.number_at.checked_add(number_length)?;
        let mut header = packet.bytes.get(..body_at)?.to_vec();
        *header.first_mut()? = first;
        let mut number = 0u64;
        for (byte, mask) in header.get_mut(packet.number_at..)?.iter_mut().zip(number_mask) {
            *byte ^= mask;
            number = number << 8 | u64::from(*byte);
        }

        // Of a first packet the number on the wire is the whole number.
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= number;
        }
        let (body, tag) = packet.bytes.get(body_at..)?.split_last_chunk::<TAG>()?;
        let mut body = body.to_vec();
        self.packet
            .decrypt_inout_detached(
                &Nonce::from(nonce),
                &header,
                body.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .ok()?;
        Some(body)
    }
}

/// HKDF-Expand-Label of TLS 1.3 (RFC 8446 section 7.1) with an empty context.
fn expand_label(secret: &Hkdf<Sha256>, label: &[u8], out: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = u8::try_from(PREFIX.len() + label.len()).ok()?;
    secret.expand_multi_info(&[&length, &[label_length], PREFIX, label, &[0]], out).ok()
}

/// An Initial packet of a client with the number 0 that says it is of version `told`.
#[cfg(test)]
pub fn seal(version: u32, told: u32, dcid: &[u8], frames: &[u8]) -> Vec<u8> {
    let side = Keys::initial(version, dcid).unwrap().client;
    let length = u16::try_from(1 + frames.len() + TAG).unwrap() | 0x4000;
    let mut packet = vec![0xc0];
    packet.extend(told.to_be_bytes());
    packet.push(u8::try_from(dcid.len()).unwrap());
    packet.extend(dcid);
    packet.extend([0, 0]);
    packet.extend(length.to_be_bytes());
    let number_at = packet.len();
    packet.push(0);
    let mut body = frames.to_vec();
    let nonce = Nonce::from(side.iv);
    let tag = side.packet.encrypt_inout_detached(&nonce, &packet, body.as_mut_slice().into());
    packet.extend(body);
    packet.extend(tag.unwrap());
    let sample: [u8; 16] = *packet[number_at + 4..].first_chunk().unwrap();
    let mut mask = sample.into();
    side.header.encrypt_block(&mut mask);
    packet[0] ^= mask[0] & 0x0f;
    packet[number_at] ^= mask[1];
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::quic::packet::{self, Packet};

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// The server's packet of RFC 9001 appendix A.3.
    #[test]
    fn the_packet_of_the_standard_is_opened() {
        let datagram = unhex(
            "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb3\
             8cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb8402\
             2f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee",
        );
        let keys = Keys::initial(version::V1, &unhex("8394c8f03e515708")).unwrap();
        let (Packet::Long(long), rest) = packet::read(&datagram).unwrap() else { panic!() };
        assert!(rest.is_empty());
        let frames = keys.open(Sender::Server, &long).unwrap();
        assert_eq!(frames[..8], [0x02, 0, 0, 0, 0, 0x06, 0x00, 0x40]);
        assert_eq!(keys.open(Sender::Client, &long), None);
    }
}
