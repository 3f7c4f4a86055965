//! Guessed passwords of real servers are noticed within ten seconds; people who mistype, programs
//! that log on all the time, and offices behind one address are left alone.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "captures live, starts tools and servers")]
#![allow(clippy::disallowed_types, reason = "threads of a test share what they found")]
#![allow(clippy::disallowed_macros, reason = "a skipped test says why, and what it found")]

mod lab;

use lab::{Lab, Row, Source::Attacker, row, run};

const ROWS: &[Row] = &[
    // Of OpenSSH, vsftpd and nginx.
    row(
        "brute_force/guessing",
        Attacker,
        "$A $HYDRA_SSH",
        "for i in $(seq 20); do $A $S -i $D/user -o BatchMode=yes root@$t true || exit 9; done; \
         for i in 1 2 3; do $A $S -o PubkeyAuthentication=no root@$t true; done; \
         $A $S -i $D/user -o BatchMode=yes root@$t true; \
         head -c 20000000 /dev/zero | $A $S -i $D/user -o BatchMode=yes root@$t 'cat > /dev/null'",
    ),
    row(
        "brute_force/guessing",
        Attacker,
        "$A $HYDRA_FTP",
        "for i in 1 2 3; do $A curl -s ftp://me:wrong@$t/; done",
    ),
    row(
        "brute_force/guessing",
        Attacker,
        "for i in $(seq 15); do $A curl -s -u admin:guess$i http://$t/private/; done",
        "for i in 1 2 3; do $A curl -s -u admin:guess$i http://$t/private/; done; \
         $A curl -s http://$t/missing/[1-40]; \
         for i in $(seq 20); do $A curl -s -u admin:unguessable http://$t/private/; done",
    ),
    row(
        "brute_force/spraying",
        Attacker,
        "for i in $(seq 24); do $A curl -s ftp://user$i:Winter2026@$t/ & done; wait",
        "for i in 1 2 3; do $A curl -s ftp://user$i:Winter2026@$t/; done",
    ),
    // Of Dovecot. A person mistypes, and a program looks for mail all the time; so does an office.
    row(
        "brute_force/guessing",
        Attacker,
        "$A $H -t 16 $t imap",
        "for p in miss mistake right; do $A curl -s imap://me:$p@$t/INBOX; done; \
         for i in $(seq 24); do $A curl -s imap://me:right@$t/INBOX; sleep 0.1; done",
    ),
    row(
        "brute_force/guessing",
        Attacker,
        "$A $H -t 16 $t pop3",
        "for p in miss mistake right; do $A curl -s pop3://me:$p@$t/; done; \
         for i in $(seq 24); do $A curl -s pop3://me:right@$t/; sleep 0.1; done",
    ),
    row(
        "brute_force/guessing",
        Attacker,
        "$A $H -t 16 -s 587 $t smtp",
        "for p in miss mistake right; do $A curl -s smtp://$t:587 -u me:$p -X NOOP; done; \
         for i in $(seq 24); do $A curl -s smtp://$t:587 -u me:right -X NOOP; sleep 0.1; done",
    ),
    row(
        "brute_force/guessing",
        Attacker,
        "$A $H -t 16 $t imaps",
        "for p in miss mistake right; do $A curl -sk imaps://me:$p@$t/INBOX; done; \
         for i in $(seq 30); do $A curl -sk imaps://me:right@$t/INBOX; sleep 0.1; done; \
         for i in $(seq 30); do $A curl -sk imaps://user$i:right@$t/INBOX; done",
    ),
    row(
        "brute_force/guessing",
        Attacker,
        "$A $H -t 16 $t pop3s",
        "for p in miss mistake right; do $A curl -sk pop3s://me:$p@$t/; done; \
         for i in $(seq 30); do $A curl -sk pop3s://me:right@$t/; sleep 0.1; done",
    ),
    // Of a desktop. Somebody mistypes, and logs on; another comes and goes.
    row(
        "brute_force/short_sessions",
        Attacker,
        "$A $H -t 4 $t rdp",
        "printf 'miss\\nmistake\\nright\\n' > $D/few; $A hydra -I -t 1 -l me -P $D/few $t rdp; \
         for i in 1 2 3; do $A hydra -I -t 1 -l me -p right $t rdp; done",
    ),
    // Of a file server.
    row(
        "brute_force/guessing",
        Attacker,
        "for i in $(seq 15); do $A smbclient -U me%guess$i -L //$t; done",
        "for p in miss mistake right; do $A smbclient -U me%$p -L //$t; done; \
         for i in $(seq 20); do $A smbclient -U me%right -L //$t || exit 9; done",
    ),
    // Of a Kerberos KDC.
    row(
        "brute_force/guessing",
        Attacker,
        "for i in $(seq 15); do echo guess$i | $A kinit me; done",
        "for p in miss mistake right; do echo $p | $A kinit me; done; \
         for i in $(seq 20); do echo right | $A kinit me || exit 9; done",
    ),
    row(
        "brute_force/spraying",
        Attacker,
        "for i in $(seq 24); do echo Winter2026 | $A kinit user$i; done",
        "for i in $(seq 24); do echo right | $A kinit user$i || exit 9; done; \
         for i in 1 2 3; do echo Winter2026 | $A kinit user$i; done",
    ),
    // Of a page with a form. Others are an office behind one address, some of whom mistype.
    row(
        "brute_force/guessing",
        Attacker,
        "$A $H -t 4 -s 8000 $t http-post-form '/cgi-bin/login:user=^USER^&pass=^PASS^:Wrong'",
        "for i in $(seq 30); do $A curl -s -d \"user=user$i&pass=right\" http://$t:8000/cgi-bin/login; \
         done; for i in $(seq 12); do for p in miss right; do \
         $A curl -s -d \"user=user$i&pass=$p\" http://$t:8000/cgi-bin/login; done; done",
    ),
    row(
        "brute_force/spraying",
        Attacker,
        "for i in $(seq 24); do \
         $A curl -s -d \"user=user$i&pass=Winter2026\" http://$t:8000/cgi-bin/login; done",
        "for i in $(seq 24); do for p in miss right; do \
         $A curl -s -d \"user=user$i&pass=$p\" http://$t:8000/cgi-bin/login; done; done",
    ),
];

#[test]
fn guesses_are_noticed_within_ten_seconds_and_what_looks_like_them_is_not() {
    if let Some(lab) = Lab::with_accounts() {
        run(&lab, ROWS);
    }
}
