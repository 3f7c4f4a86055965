//! Whether bytes look encrypted or compressed.

/// Bytes that are needed to tell.
const MIN: usize = 48;
/// Bytes that are looked at.
const MAX: usize = 2048;

/// Whether bytes look as if they were drawn by lot, which those of encryption and of good
/// compression do; `None` where they are too few to tell.
///
/// Two things are asked. Their entropy has to be near that of as many random bytes: text and
/// most binary protocols stay far below. And as many bits have to be set as not, within 0.6 bits a
/// byte, which Base64 and other letters miss that have much entropy for their number (Wu et al.,
/// "How the Great Firewall of China Detects and Blocks Fully Encrypted Traffic", 2023, section 4).
pub fn looks_random(bytes: &[u8]) -> Option<bool> {
    let bytes = bytes.get(..MAX).unwrap_or(bytes);
    if bytes.len() < MIN {
        return None;
    }
    let mut counts = [0_u32; 256];
    let mut bits = 0;
    for &byte in bytes {
        bits += byte.count_ones();
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = bytes.len() as f64;
    let entropy: f64 = counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let share = f64::from(count) / length;
            -share * share.log2()
        })
        .sum();
    let bits = f64::from(bits) / length;
    Some((3.4..=4.6).contains(&bits) && entropy >= 0.92 * ceiling(length))
}

/// The entropy, in bits a byte, that so many random bytes have about: with few of them none comes
/// twice, with many all 256 come.
fn ceiling(length: f64) -> f64 {
    // Expected entropy is log2(n) for n far below 256, 8 for n far above; between them the plain
    // minimum is at most 0.5 too high, which the margin of the caller is for.
    length.log2().min(8.0) - 0.35 * (-((length.log2() - 8.0) / 1.5).powi(2)).exp()
}

#[cfg(test)]
mod tests {
    use super::looks_random;

    /// Random enough, and the same each time.
    fn noise(n: usize, seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..n).map(next).collect()
    }

    #[test]
    fn noise_of_any_length_is_random() {
        let mut missed = 0;
        for n in [48, 64, 100, 150, 200, 256, 300, 400, 512, 700, 1000, 1400, 4096] {
            missed += (0..100).filter(|&seed| looks_random(&noise(n, seed)) != Some(true)).count();
        }
        assert!(missed < 13, "{missed} of 1300");
    }

    #[test]
    fn what_has_form_is_not() {
        let text = "GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nAccept: */*\r\n".repeat(9);
        let base64 = "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZy4gMTIzNDU2Nzg5";
        let numbers: Vec<u8> = (0..200_u32).flat_map(u32::to_be_bytes).collect();
        for plain in [text.as_bytes(), &text.as_bytes()[..60], base64.as_bytes(), &numbers] {
            assert_eq!(looks_random(plain), Some(false), "{plain:?}");
        }
        assert_eq!(looks_random(&noise(47, 1)), None);
    }
}
