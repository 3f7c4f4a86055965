//! What kind of file begins with these bytes, in the words of `file(1)`, by which rules ask for it.

use std::borrow::Cow;

/// Describes a file by its first bytes.
pub(super) fn describe(head: &[u8]) -> Cow<'static, str> {
    if head.is_empty() {
        return "empty".into();
    }
    KINDS.iter().find_map(|kind| kind(head)).unwrap_or_else(|| text(head))
}

/// One family of formats: its description, where the bytes are of it.
type Kind = fn(&[u8]) -> Option<Cow<'static, str>>;

const KINDS: &[Kind] =
    &[document, image, archive, executable, portable_executable, elf, flash, script, markup];

fn document(head: &[u8]) -> Option<Cow<'static, str>> {
    if let Some(rest) = head.strip_prefix(b"%PDF-") {
        let version = rest.get(..3).and_then(|v| std::str::from_utf8(v).ok()).unwrap_or_default();
        return Some(format!("PDF document, version {version}").into());
    }
    Some(match head {
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => {
            "Composite Document File V2 Document, Little Endian".into()
        }
        [b'{', b'\\', b'r', b't', b'f', ..] => "Rich Text Format data, version 1".into(),
        [b'%', b'!', b'P', b'S', ..] => "PostScript document text".into(),
        _ if head.starts_with(b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR") => {
            "EICAR virus test files".into()
        }
        _ => return None,
    })
}

fn image(head: &[u8]) -> Option<Cow<'static, str>> {
    if let Some(rest) = head.strip_prefix(b"\x89PNG\r\n\x1a\n") {
        let size = |at| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        return Some(match (size(8), size(12)) {
            (Some(width), Some(height)) => format!("PNG image data, {width} x {height}").into(),
            _ => "PNG image data".into(),
        });
    }
    if let Some([b'8', year @ (b'7' | b'9'), b'a', rest @ ..]) = head.strip_prefix(b"GIF") {
        let version = char::from(*year);
        return Some(match rest {
            [w, x, h, i, ..] => {
                let (width, height) = (u16::from_le_bytes([*w, *x]), u16::from_le_bytes([*h, *i]));
                format!("GIF image data, version 8{version}a, {width} x {height}").into()
            }
            _ => format!("GIF image data, version 8{version}a").into(),
        });
    }
    Some(match head {
        [0xff, 0xd8, 0xff, 0xe0, _, _, b'J', b'F', b'I', b'F', 0, major, minor, ..] => {
            format!("JPEG image data, JFIF standard {major}.{minor:02}").into()
        }
        [0xff, 0xd8, 0xff, 0xe1, _, _, b'E', b'x', b'i', b'f', ..] => {
            "JPEG image data, Exif standard".into()
        }
        [0xff, 0xd8, 0xff, ..] => "JPEG image data".into(),
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => "PC bitmap, Windows 3.x format".into(),
        [0, 0, 1, 0, count, 0, ..] if *count > 0 => "MS Windows icon resource".into(),
        [b'I', b'I', 42, 0, ..] => "TIFF image data, little-endian".into(),
        [b'M', b'M', 0, 42, ..] => "TIFF image data, big-endian".into(),
        _ if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") => {
            "RIFF (little-endian) data, Web/P image".into()
        }
        _ => return None,
    })
}

fn archive(head: &[u8]) -> Option<Cow<'static, str>> {
    Some(match head {
        [b'P', b'K', 3, 4, version, ..] => {
            let has = |name: &[u8]| memchr::memmem::find(head, name).is_some();
            if has(b"word/") {
                "Microsoft Word 2007+".into()
            } else if has(b"xl/") {
                "Microsoft Excel 2007+".into()
            } else if has(b"ppt/") {
                "Microsoft PowerPoint 2007+".into()
            } else if has(b"[Content_Types].xml") {
                "Microsoft OOXML".into()
            } else if has(b"META-INF/") {
                "Java archive data (JAR)".into()
            } else {
                let (major, minor) = (version / 10, version % 10);
                format!("Zip archive data, at least v{major}.{minor} to extract").into()
            }
        }
        [b'P', b'K', 5, 6, ..] => "Zip archive data (empty)".into(),
        [0x1f, 0x8b, ..] => "gzip compressed data".into(),
        [b'B', b'Z', b'h', level @ b'1'..=b'9', ..] => {
            format!("bzip2 compressed data, block size = {}00k", char::from(*level)).into()
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "XZ compressed data".into(),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, major, minor, ..] => {
            format!("7-zip archive data, version {major}.{minor}").into()
        }
        [b'R', b'a', b'r', b'!', 0x1a, 7, 1, ..] => "RAR archive data, v5".into(),
        [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => "RAR archive data, v4".into(),
        [b'M', b'S', b'C', b'F', 0, 0, 0, 0, ..] => "Microsoft Cabinet archive data".into(),
        _ if head.get(257..265) == Some(b"ustar  \0") => "POSIX tar archive (GNU)".into(),
        _ if head.get(257..262) == Some(b"ustar") => "POSIX tar archive".into(),
        _ => return None,
    })
}

fn executable(head: &[u8]) -> Option<Cow<'static, str>> {
    Some(match head {
        // A fat binary of Mach-O begins alike, with the number of its few architectures.
        [0xca, 0xfe, 0xba, 0xbe, _, _, _, version, ..] if *version < 20 => {
            "Mach-O universal binary".into()
        }
        [0xca, 0xfe, 0xba, 0xbe, _, _, major, minor, ..] => {
            let version = u16::from_be_bytes([*major, *minor]);
            format!("compiled Java class data, version {version}.0").into()
        }
        [0xcf, 0xfa, 0xed, 0xfe, ..] => "Mach-O 64-bit executable".into(),
        [0xce, 0xfa, 0xed, 0xfe, ..] => "Mach-O executable".into(),
        _ => return None,
    })
}

fn portable_executable(head: &[u8]) -> Option<Cow<'static, str>> {
    let two = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
    if !head.starts_with(b"MZ") {
        return None;
    }
    let at = head.get(60..64).and_then(|at| at.try_into().ok()).map_or(0, u32::from_le_bytes);
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    if head.get(at..at.saturating_add(4)) != Some(b"PE\0\0") {
        return Some("MS-DOS executable".into());
    }
    let kind = if two(at + 24) == Some(0x20b) { "PE32+" } else { "PE32" };
    let library = if two(at + 22).is_some_and(|flags| flags & 0x2000 != 0) { " (DLL)" } else { "" };
    let subsystem = match two(at + 92) {
        Some(1) => " (native)",
        Some(2) => " (GUI)",
        Some(3) => " (console)",
        _ => "",
    };
    let machine = match two(at + 4) {
        Some(0x14c) => " Intel 80386",
        Some(0x8664) => " x86-64",
        Some(0xaa64) => " Aarch64",
        _ => "",
    };
    Some(format!("{kind} executable{library}{subsystem}{machine}, for MS Windows").into())
}

fn elf(head: &[u8]) -> Option<Cow<'static, str>> {
    let [0x7f, b'E', b'L', b'F', class, order, ..] = *head else { return None };
    let (bits, order_name) =
        (if class == 2 { 64 } else { 32 }, if order == 2 { "MSB" } else { "LSB" });
    let two = |at: usize| {
        let bytes = head.get(at..at + 2)?.try_into().ok()?;
        Some(if order == 2 { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let kind = match two(16) {
        Some(1) => "relocatable",
        Some(2) => "executable",
        Some(3) => "shared object",
        Some(4) => "core file",
        _ => "unknown type",
    };
    let machine = match two(18) {
        Some(3) => ", Intel 80386",
        Some(8) => ", MIPS",
        Some(20) => ", PowerPC",
        Some(40) => ", ARM",
        Some(62) => ", x86-64",
        Some(183) => ", ARM aarch64",
        _ => "",
    };
    Some(format!("ELF {bits}-bit {order_name} {kind}{machine}").into())
}

fn flash(head: &[u8]) -> Option<Cow<'static, str>> {
    Some(match head {
        [b'F', b'W', b'S', version, ..] => {
            format!("Macromedia Flash data, version {version}").into()
        }
        [b'C' | b'Z', b'W', b'S', version, ..] => {
            format!("Macromedia Flash data (compressed), version {version}").into()
        }
        [b'F', b'L', b'V', 1, ..] => "Macromedia Flash Video".into(),
        [b'I', b'D', b'3', ..] => "Audio file with ID3".into(),
        _ => return None,
    })
}

fn script(head: &[u8]) -> Option<Cow<'static, str>> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let has = |name: &[u8]| memchr::memmem::find(line, name).is_some();
    let language = if has(b"bash") {
        "Bourne-Again shell"
    } else if has(b"python") {
        "Python"
    } else if has(b"perl") {
        "Perl"
    } else if has(b"sh") {
        "POSIX shell"
    } else {
        "a"
    };
    Some(format!("{language} script, ASCII text executable").into())
}

fn markup(head: &[u8]) -> Option<Cow<'static, str>> {
    let start = head.trim_ascii_start();
    let begins =
        |tag: &[u8]| start.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag));
    let tags: [&[u8]; 6] = [b"<!doctype html", b"<html", b"<head", b"<title", b"<body", b"<script"];
    if tags.iter().any(|tag| begins(tag)) {
        return Some(format!("HTML document, {}", text(head)).into());
    }
    begins(b"<?xml").then(|| format!("XML 1.0 document, {}", text(head)).into())
}

/// Text or anything else.
fn text(head: &[u8]) -> Cow<'static, str> {
    let is_text =
        |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x08);
    let kind = if head.iter().all(is_text) {
        "ASCII text"
    } else if head.iter().all(|byte| *byte >= 0x80 || is_text(byte)) {
        // The last character may be cut.
        match std::str::from_utf8(head) {
            Ok(_) => "UTF-8 Unicode text",
            Err(error) if error.error_len().is_none() => "UTF-8 Unicode text",
            Err(_) => "ISO-8859 text",
        }
    } else {
        return "data".into();
    };
    let (crlf, lf) =
        (memchr::memmem::find(head, b"\r\n").is_some(), memchr::memchr(b'\n', head).is_some());
    match (crlf, lf) {
        (true, _) => format!("{kind}, with CRLF line terminators").into(),
        (false, true) => kind.into(),
        (false, false) => format!("{kind}, with no line terminators").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_described_in_the_words_of_the_usual_tool() {
        let mut program = vec![0; 256];
        program[..2].copy_from_slice(b"MZ");
        program[60] = 128;
        program[128..134].copy_from_slice(b"PE\0\0\x64\x86");
        program[128 + 23] = 0x20;
        program[128 + 24..128 + 26].copy_from_slice(&[0x0b, 2]);
        program[128 + 92] = 3;
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b"%PDF-1.5\n%\xe2", "PDF document, version 1.5"),
            (b"GIF89a\x01\0\x02\0", "GIF image data, version 89a, 1 x 2"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01", "JPEG image data, JFIF standard 1.01"),
            (b"PK\x03\x04\x14\0", "Zip archive data, at least v2.0 to extract"),
            (b"PK\x03\x04\x14\0\x08word/document.xml", "Microsoft Word 2007+"),
            (&program, "PE32+ executable (DLL) (console) x86-64, for MS Windows"),
            (b"MZ\x90\0", "MS-DOS executable"),
            (b"CWS\x0a", "Macromedia Flash data (compressed), version 10"),
            (b"#!/bin/sh\nls\n", "POSIX shell script, ASCII text executable"),
            (b"\n<HTML>\r\n", "HTML document, ASCII text, with CRLF line terminators"),
            (b"plain", "ASCII text, with no line terminators"),
            (b"gr\xc3\xbc\xc3", "UTF-8 Unicode text, with no line terminators"),
            (b"\0\x01\x02", "data"),
        ];
        for (head, expected) in cases {
            assert_eq!(describe(head), *expected);
        }
        let elf = [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[2, 0, 62, 0]].concat();
        assert_eq!(describe(&elf), "ELF 64-bit LSB executable, x86-64");
        // Whatever is cut off, something is said.
        for end in 0..program.len() {
            assert!(!describe(&program[..end]).is_empty());
        }
    }
}
