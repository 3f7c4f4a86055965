use super::*;
use proptest::prelude::*;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Decodes a block and shows it as text.
fn decoded(decoder: &mut Decoder, block: &str) -> Result<String, Bad> {
    let mut list = List::default();
    decoder.decode(&unhex(block), &mut list)?;
    let show = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let lines = list.items(0).map(|item| match item {
        Item::Field(name, value) => format!("{}={}", show(name), show(value)),
        Item::SizeUpdate(size) => format!("size {size}"),
    });
    Ok(lines.collect::<Vec<_>>().join(" "))
}

#[test]
fn requests_of_the_standard_are_read() {
    // RFC 7541 appendix C.4: three requests in Huffman code, one after the other.
    let mut decoder = Decoder::default();
    let mut read = |block| decoded(&mut decoder, block).unwrap();
    let base = ":method=GET :scheme=http :path=/ :authority=www.example.com";
    assert_eq!(read("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"), base);
    assert_eq!(read("8286 84be 5886 a8eb 1064 9cbf"), format!("{base} cache-control=no-cache"));
    assert_eq!(
        read("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"),
        ":method=GET :scheme=https :path=/index.html :authority=www.example.com \
         custom-key=custom-value"
    );
    assert_eq!(decoder.size, 164);
}

#[test]
fn responses_evict_from_a_small_table() {
    // RFC 7541 appendix C.5, with a table of 256 bytes.
    let mut decoder = Decoder { limit: 256, ..Decoder::default() };
    let mut read = |block| decoded(&mut decoder, block).unwrap();
    assert_eq!(
        read(
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 \
             2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 \
             6c65 2e63 6f6d"
        ),
        ":status=302 cache-control=private date=Mon, 21 Oct 2013 20:13:21 GMT \
         location=https://www.example.com"
    );
    assert_eq!(
        read("4803 3330 37c1 c0bf"),
        ":status=307 cache-control=private date=Mon, 21 Oct 2013 20:13:21 GMT \
         location=https://www.example.com"
    );
    assert_eq!(decoder.size, 222);
    assert_eq!(decoder.table.len(), 4);
}

#[test]
fn what_is_wrong_is_named() {
    let read = |block| decoded(&mut Decoder::default(), block);
    assert_eq!(read("80"), Err(INVALID));
    assert_eq!(read("be"), Err(INVALID));
    assert_eq!(read("ff ff ff ff ff ff 01"), Err(OVERFLOW));
    assert_eq!(read("82 40 05 61"), Err(CUT));
    assert_eq!(read("3f e1 1f"), Ok("size 4096".into()));
}

#[test]
fn what_was_missed_is_left_out_and_what_comes_later_is_found() {
    let mut decoder = Decoder::default();
    decoder.lose();
    let mut read = |block| decoded(&mut decoder, block).unwrap();
    // An entry that was never seen, a new field, both again.
    assert_eq!(read("be 40 01 61 01 62 be bf"), "a=b a=b");
    // A name that was never seen.
    assert_eq!(read("7f 05 01 78 bf"), "a=b");
}

#[test]
fn references_to_a_long_field_do_not_add_up() {
    let mut decoder = Decoder::default();
    let mut list = List::default();
    let mut block = unhex("4001 61 7f 81 1e");
    block.extend([b'x'; 4000]);
    block.resize(block.len() + 50_000, 0xbe);
    decoder.decode(&block, &mut list).unwrap();
    assert!(list.is_cut && list.weight() < 2 * LIST_CAP, "{}", list.weight());
}

#[test]
fn a_table_never_grows_beyond_its_limit() {
    let mut decoder = Decoder::default();
    let mut list = List::default();
    // The largest size that can be asked for, then fields that differ.
    decoder.decode(&unhex("3f e0 ff ff ff 0f"), &mut list).unwrap();
    for n in 0..5000_u32 {
        let mut block = vec![0x40, 4];
        block.extend(n.to_be_bytes());
        block.extend([0x7f, 0x81, 0x06]);
        block.extend([b'v'; 896]);
        decoder.decode(&block, &mut list).unwrap();
    }
    assert!(decoder.size <= TABLE_CAP && decoder.table.len() <= TABLE_CAP / ENTRY);
}

proptest! {
    #[test]
    fn any_bytes_are_taken(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
        let mut decoder = Decoder::default();
        for block in blocks {
            let mut list = List::default();
            let _ = decoder.decode(&block, &mut list);
            prop_assert!(decoder.size <= decoder.limit);
        }
    }
}
