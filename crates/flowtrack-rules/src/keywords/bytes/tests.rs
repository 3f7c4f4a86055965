use super::*;

fn number(length: i64, offset: i64) -> Number {
    Number::new(Amount::Fixed(length), Amount::Fixed(offset))
}

#[test]
fn numbers_are_read_in_every_form() {
    let bytes = [1, 2, 3, 4, 5];
    assert_eq!(number(2, 1).read(&bytes, 0, &[]), Some((0x0203, 3)));
    let little = Number { little: true, relative: true, ..number(4, -1) };
    assert_eq!(little.read(&bytes, 1, &[]), Some((0x0403_0201, 4)));
    assert_eq!(little.read(&bytes, 0, &[]), None, "before the start");
    assert_eq!(number(4, 2).read(&bytes, 0, &[]), None, "behind the end");
    let masked = Number { mask: 0xf0, ..number(1, 0) };
    assert_eq!(masked.read(&[0xab], 0, &[]), Some((0xa, 1)));
    let text = |base, length| Number { text: Some(base), ..number(length, 0) };
    assert_eq!(text(Base::Decimal, 4).read(b"12ab", 0, &[]), Some((12, 2)));
    assert_eq!(text(Base::Hex, 4).read(b"12ab", 0, &[]), Some((0x12ab, 4)));
    assert_eq!(text(Base::Own, 4).read(b"0x1f", 0, &[]), Some((0x1f, 4)));
    assert_eq!(text(Base::Octal, 4).read(b"0778", 0, &[]), Some((0o77, 3)));
    assert_eq!(text(Base::Decimal, 3).read(b"abc", 0, &[]), None);
    let variable = Number::new(Amount::Variable(0), Amount::Fixed(0));
    assert_eq!(variable.read(&bytes, 0, &[2]), Some((0x0102, 2)));
}

#[test]
fn jumps_stay_in_the_buffer() {
    let jump = ByteJump {
        number: number(1, 0),
        multiplier: 1,
        align: false,
        from_start: false,
        from_end: false,
        post_offset: Amount::Fixed(0),
    };
    assert_eq!(jump.target(&[2, 0, 0, 0], 0, &[]), Some(3));
    assert_eq!(jump.target(&[3, 0, 0, 0], 0, &[]), None);
    let from_start = ByteJump { from_start: true, ..jump.clone() };
    assert_eq!(from_start.target(&[3, 0, 0, 0], 0, &[]), Some(3));
    let aligned = ByteJump { align: true, from_start: true, ..jump.clone() };
    assert_eq!(aligned.target(&[1, 0, 0, 0, 0, 0], 0, &[]), Some(4));
    let back = ByteJump { from_end: true, post_offset: Amount::Fixed(-2), ..jump };
    assert_eq!(back.target(&[0, 0, 0, 0], 0, &[]), Some(2));
}

#[test]
fn tests_of_bytes_that_are_not_there_never_hold() {
    let test = ByteTest {
        number: number(2, 0),
        compare: Compare::Equal,
        negated: true,
        value: Amount::Fixed(7),
    };
    assert!(test.holds(&[0, 8], 0, &[]));
    assert!(!test.holds(&[0, 7], 0, &[]));
    assert!(!test.holds(&[0], 0, &[]));
}

#[test]
fn isdataat_counts_from_the_start_or_from_the_last_match() {
    let at =
        |amount, relative, negated| IsDataAt { amount: Amount::Fixed(amount), relative, negated };
    assert!(at(3, false, false).holds(4, 0, &[]) && !at(4, false, false).holds(4, 0, &[]));
    assert!(at(1, true, false).holds(4, 3, &[]) && !at(1, true, false).holds(4, 4, &[]));
    assert!(at(1, true, true).holds(4, 4, &[]));
}
