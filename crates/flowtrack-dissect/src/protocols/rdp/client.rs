//! What a client tells of itself (MS-RDPBCGR section 2.2.1.3).

use crate::Reader;
use serde::Serialize;

/// Channels of one client that are kept.
const CHANNEL_CAP: usize = 32;

/// The client's core data.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Client {
    version: &'static str,
    desktop_width: u16,
    desktop_height: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    color_depth: Option<u16>,
    keyboard_layout: String,
    build: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[serde(rename = "client_name")]
    computer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyboard_type: Option<&'static str>,
    function_keys: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
}

impl Client {
    /// Name of its computer.
    pub fn name(&self) -> &str {
        &self.computer
    }
}

/// Reads core data and channels out of an MCS Connect-Initial.
pub fn parse(initial: &[u8]) -> Option<(Client, Vec<String>)> {
    const CORE: u16 = 0xc001;
    const NET: u16 = 0xc003;
    // All that stands before the key of the client's data is of no interest.
    let at = memchr::memmem::find(initial, b"Duca")?;
    let mut r = Reader::new(initial.get(at + 4..)?);
    // A length in one or two bytes.
    if r.u8()? & 0x80 != 0 {
        r.skip(1)?;
    }
    let (mut core, mut channels) = (None, Vec::new());
    while let (Some(kind), Some(length)) = (r.u16_le(), r.u16_le()) {
        let length = usize::from(length).checked_sub(4)?;
        let Some(block) = r.take(length) else { break };
        match kind {
            CORE => core = read_core(block),
            NET => channels = read_channels(block).unwrap_or_default(),
            _ => {}
        }
    }
    core.map(|client| (client, channels))
}

fn read_core(block: &[u8]) -> Option<Client> {
    let mut r = Reader::new(block);
    let version = r.u32_le()?;
    let desktop_width = r.u16_le()?;
    let desktop_height = r.u16_le()?;
    let color_depth = r.u16_le()?;
    r.skip(2)?;
    let layout = r.u32_le()?;
    let build = r.u32_le()?;
    let computer = utf16(r.take(32)?);
    let keyboard_type = r.u32_le()?;
    r.skip(4)?;
    let function_keys = r.u32_le()?;
    r.skip(64)?;
    let mut client = Client {
        version: protocol_version(version),
        desktop_width,
        desktop_height,
        color_depth: depth(color_depth),
        keyboard_layout: layout_name(layout),
        build: build_name(build),
        computer,
        keyboard_type: keyboard(keyboard_type),
        function_keys,
        ..Client::default()
    };
    // Older clients end anywhere below.
    read_optional(&mut r, &mut client);
    Some(client)
}

fn read_optional(r: &mut Reader<'_>, client: &mut Client) -> Option<()> {
    const WANTS_32: u16 = 0x0002;
    const SUPPORTS_32: u16 = 0x0008;
    client.color_depth = depth(r.u16_le()?).or(client.color_depth);
    client.product_id = Some(r.u16_le()?);
    r.skip(4)?;
    let high = r.u16_le()?;
    if matches!(high, 4 | 8 | 15 | 16 | 24) {
        client.color_depth = Some(high);
    }
    let supported = r.u16_le()?;
    let early = r.u16_le()?;
    if early & WANTS_32 != 0 && supported & SUPPORTS_32 != 0 {
        client.color_depth = Some(32);
    }
    client.capabilities =
        CAPABILITIES.iter().filter(|(bit, _)| early & bit != 0).map(|&(_, name)| name).collect();
    client.id = utf16(r.take(64)?);
    Some(())
}

const CAPABILITIES: [(u16, &str); 11] = [
    (0x0001, "support_errinfo_pdf"),
    (0x0002, "want_32bpp_session"),
    (0x0004, "support_statusinfo_pdu"),
    (0x0008, "strong_asymmetric_keys"),
    (0x0010, "unused"),
    (0x0020, "valid_connection_type"),
    (0x0040, "support_monitor_layout_pdu"),
    (0x0080, "support_netchar_autodetect"),
    (0x0100, "support_dynvc_gfx_protocol"),
    (0x0200, "support_dynamic_time_zone"),
    (0x0400, "support_heartbeat_pdu"),
];

fn read_channels(block: &[u8]) -> Option<Vec<String>> {
    let mut r = Reader::new(block);
    let count = r.u32_le()? as usize;
    let mut channels = Vec::new();
    for _ in 0..count.min(CHANNEL_CAP) {
        let Some(name) = r.array::<8>() else { break };
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
        let name = name.get(..end).unwrap_or_default();
        channels.push(flowtrack_event::WireText(name).to_string());
        r.skip(4);
    }
    Some(channels)
}

/// Text of two bytes a letter, up to its end.
fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok());
    let units: Vec<u16> = units.map(u16::from_le_bytes).take_while(|&unit| unit != 0).collect();
    String::from_utf16_lossy(&units)
}

const fn protocol_version(version: u32) -> &'static str {
    match version {
        0x0008_0001 => "v4",
        0x0008_0004 => "v5",
        0x0008_0005 => "v10.0",
        0x0008_0006 => "v10.1",
        0x0008_0007 => "v10.2",
        0x0008_0008 => "v10.3",
        0x0008_0009 => "v10.4",
        0x0008_000a => "v10.5",
        0x0008_000b => "v10.6",
        0x0008_000c => "v10.7",
        0x0008_000d => "v10.8",
        0x0008_000e => "v10.9",
        0x0008_000f => "v10.10",
        _ => "unknown",
    }
}

const fn depth(code: u16) -> Option<u16> {
    match code {
        0xca00 => Some(4),
        0xca01 => Some(8),
        0xca02 => Some(15),
        0xca03 => Some(16),
        0xca04 => Some(24),
        _ => None,
    }
}

const fn keyboard(kind: u32) -> Option<&'static str> {
    match kind {
        1 => Some("xt"),
        2 => Some("ico"),
        3 => Some("at"),
        4 => Some("enhanced"),
        5 => Some("1050"),
        6 => Some("9140"),
        7 => Some("jp"),
        _ => None,
    }
}

/// Windows by its build number.
fn build_name(build: u32) -> String {
    let name = match build {
        528 | 1057 => "Windows 95",
        1381 => "Windows NT 4.0",
        1998 | 2222 => "Windows 98",
        2195 => "Windows 2000",
        2600 => "Windows XP",
        3790 => "Windows Server 2003",
        6000 => "Windows Vista",
        6001 => "Windows Vista SP1",
        6002 => "Windows Vista SP2",
        7600 => "Windows 7",
        7601 => "Windows 7 SP1",
        9200 => "Windows 8",
        9600 => "Windows 8.1",
        10240 => "Windows 10",
        10586 => "Windows 10 1511",
        14393 => "Windows 10 1607",
        15063 => "Windows 10 1703",
        16299 => "Windows 10 1709",
        17134 => "Windows 10 1803",
        17763 => "Windows 10 1809",
        18362 => "Windows 10 1903",
        18363 => "Windows 10 1909",
        19041 => "Windows 10 2004",
        19042 => "Windows 10 20H2",
        19043 => "Windows 10 21H1",
        19044 => "Windows 10 21H2",
        19045 => "Windows 10 22H2",
        22000 => "Windows 11",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Language of a keyboard by its locale number.
fn layout_name(layout: u32) -> String {
    let name = match layout & 0xffff {
        0x0401 => "ar-SA",
        0x0402 => "bg-BG",
        0x0404 => "zh-TW",
        0x0405 => "cs-CZ",
        0x0406 => "da-DK",
        0x0407 => "de-DE",
        0x0408 => "el-GR",
        0x0409 => "en-US",
        0x040a | 0x0c0a => "es-ES",
        0x040b => "fi-FI",
        0x040c => "fr-FR",
        0x040d => "he-IL",
        0x040e => "hu-HU",
        0x0410 => "it-IT",
        0x0411 => "ja-JP",
        0x0412 => "ko-KR",
        0x0413 => "nl-NL",
        0x0414 => "nb-NO",
        0x0415 => "pl-PL",
        0x0416 => "pt-BR",
        0x0418 => "ro-RO",
        0x0419 => "ru-RU",
        0x041a => "hr-HR",
        0x041b => "sk-SK",
        0x041d => "sv-SE",
        0x041e => "th-TH",
        0x041f => "tr-TR",
        0x0422 => "uk-UA",
        0x0424 => "sl-SI",
        0x0804 => "zh-CN",
        0x0807 => "de-CH",
        0x0809 => "en-GB",
        0x080a => "es-MX",
        0x080c => "fr-BE",
        0x0813 => "nl-BE",
        0x0816 => "pt-PT",
        0x0c04 => "zh-HK",
        0x0c07 => "de-AT",
        0x0c09 => "en-AU",
        0x0c0c => "fr-CA",
        0x1009 => "en-CA",
        0x100c => "fr-CH",
        other => return format!("0x{other:04x}"),
    };
    name.to_owned()
}
