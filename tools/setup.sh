#!/usr/bin/env bash
# Installs what FlowTrack needs from Debian and is not there yet; says nothing when all is there.
#
# Usage: tools/setup.sh [run|test|bench]...     run: to build and run (the default)
#        SETUP_DRY_RUN=1                             only say what is missing
#
# Rust and Node are not installed here: take them from rustup.rs and nodejs.org or your distribution.
# Exit status: 0 all there, or only something that FlowTrack can do without is missing; 3 it cannot go on.
set -euo pipefail

# purpose  must|can   package          how to see that it is there     what it is for
WISHES='
run   must gcc              command:cc                    the C parts of SQLite, zstd and mimalloc
run   must libc6-dev        file:/usr/include/stdio.h     the C parts of SQLite, zstd and mimalloc
run   must ca-certificates  file:/etc/ssl/certs/ca-certificates.crt  fetching crates and packages
run   can  libpcap0.8       library:libpcap.so.0.8        capture filters (-f)
test  can  chromium         command:chromium              the browser test of the dashboard
test  can  iproute2         command:ip                    the tests of live capture
test  can  nmap             command:nmap                  the tests of behaviour, with real scans
test  can  hping3           command:hping3                the tests of behaviour, with real floods
test  can  curl             command:curl                  the tests of behaviour, with what is none
test  can  tcpdump          command:tcpdump               comparing filters and files with tcpdump
test  can  tshark           command:tshark                comparing exports with tshark
test  can  openssh-server   file:/usr/sbin/sshd                the tests of detectors beside real servers
test  can  openssh-client   command:ssh                   the same
test  can  hydra            command:hydra                 the same
test  can  vsftpd           file:/usr/sbin/vsftpd              the same
test  can  nginx            file:/usr/sbin/nginx               the same
test  can  curl             command:curl                  the same
test  can  dnsmasq-base     file:/usr/sbin/dnsmasq             the same
test  can  busybox          command:busybox               the same
test  can  dovecot-imapd    file:/usr/lib/dovecot/imap         the tests of guessed passwords
test  can  dovecot-pop3d    file:/usr/lib/dovecot/pop3         the same
test  can  dovecot-submissiond  file:/usr/lib/dovecot/submission  the same
test  can  samba            file:/usr/sbin/smbd                the same
test  can  smbclient        command:smbclient             the same
test  can  krb5-kdc         file:/usr/sbin/krb5kdc             the same
test  can  krb5-admin-server  file:/usr/sbin/kadmin.local      the same
test  can  krb5-user        command:kinit                 the same
test  can  freerdp2-shadow-x11  command:freerdp-shadow-cli     the same
test  can  xvfb             command:Xvfb                  the same
test  can  openssl          command:openssl               certificates for the tests of notifications
test  can  python3-aiosmtpd file:/usr/lib/python3/dist-packages/aiosmtpd  the mail server that notifications are tested with
test  can  rsyslog          file:/usr/sbin/rsyslogd       the syslog daemon that notifications are tested with
test  can  rsyslog-gnutls   file:/usr/share/doc/rsyslog-gnutls  the same, by TLS
test  can  dbus-daemon      command:dbus-daemon           the desktop that notifications are tested with
test  can  python3-dbus     file:/usr/lib/python3/dist-packages/dbus      the same
test  can  python3-gi       file:/usr/lib/python3/dist-packages/gi        the same
test  can  nftables         command:nft                   the tests of blocking
test  can  iptables         command:iptables              the tests of blocking without nftables
test  can  ipset            command:ipset                 the tests of blocking without nftables
bench must tcpdump          command:tcpdump               comparing speed
bench must libndpi-bin      command:ndpiReader            comparing speed
bench must python3          command:python3               building the benchmark capture
'

main() {
  local purposes=" ${*:-run} " wrong
  wrong=$(tr ' ' '\n' <<<"$purposes" | grep -vxE 'run|test|bench|' || true)
  [ -z "$wrong" ] || fail "no such purpose: $wrong (there are: run, test, bench)"
  need_tool cargo "1.95" "rustup.rs"
  need_tool node "20.19" "nodejs.org"
  need_tool npm "10" "nodejs.org"

  local missing=() must_miss="" purpose need package sign reason
  while read -r purpose need package sign reason; do
    [[ -n $purpose && $purposes == *" $purpose "* ]] || continue
    is_there "$sign" && continue
    missing+=("$package")
    echo "setup: $package is missing: $reason"
    [ "$need" = must ] && must_miss+=" $package"
  done <<<"$WISHES"
  [ ${#missing[@]} -gt 0 ] || return 0

  local install="apt-get install --yes --no-install-recommends ${missing[*]}"
  [ -z "${SETUP_DRY_RUN:-}" ] || { echo "setup: would run: $install"; return 0; }
  if ! command -v apt-get >/dev/null; then
    echo "setup: this is not Debian; install what is missing your system's way"
  elif [ "$(id -u)" != 0 ]; then
    echo "setup: not root; run: sudo apt-get update && sudo $install"
  else
    install_packages "${missing[@]}" && must_miss=""
  fi
  [ -z "$must_miss" ] || fail "cannot go on without:$must_miss"
}

# Servers that only tests start must not begin to serve this machine, now or when it starts next.
install_packages() {
  local log begun pause result=1
  log=$(mktemp)
  begun=$(begun_at_start)
  echo "setup: installing $*"
  trap 'rm -f "$OWN_POLICY"' EXIT
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    OWN_POLICY=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$OWN_POLICY"
    chmod 755 "$OWN_POLICY"
  fi
  for pause in 0 10 20 30 60 90 90; do
    sleep "$pause"
    fetch_and_install "$@" >"$log" 2>&1 </dev/null && result=0 && break
    # A mirror is tried three times; another program that reads lists, for which apt-get does not
    # wait, has five minutes to end.
    [ "$pause" -lt 20 ] || grep -q 'Could not get lock' "$log" || break
  done
  rm -f "$OWN_POLICY"
  comm -13 <(echo "$begun") <(begun_at_start) | xargs --no-run-if-empty rm -f
  if [ "$result" = 0 ]; then
    rm -f "$log"
  else
    tail -n 15 "$log" >&2
    echo "setup: apt-get failed; the whole log is $log" >&2
  fi
  return "$result"
}

# Waits for another program that installs, and asks a mirror again.
fetch_and_install() {
  local options=(-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  apt-get "${options[@]}" update &&
    DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install --yes --no-install-recommends "$@"
}

# What forbids packages to start services while they are installed, where it is ours.
OWN_POLICY=""

# The links by which systemd knows what to start.
begun_at_start() { find /etc/systemd/system -type l 2>/dev/null | sort; }

is_there() {
  case $1 in
    command:*) PATH=$PATH:/sbin:/usr/sbin command -v "${1#command:}" >/dev/null ;;
    file:*) [ -e "${1#file:}" ] ;;
    library:*) ldconfig_cache | grep -q "${1#library:} " ;;
  esac
}

ldconfig_cache() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true; }

# need_tool NAME VERSION WHERE: there, and at least that version.
need_tool() {
  command -v "$1" >/dev/null || fail "$1 not found; FlowTrack is built with $1 $2 or later, from $3"
  local found
  found=$("$1" --version | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)
  [ "$(printf '%s\n' "$2" "$found" | sort -V | head -n 1)" = "$2" ] ||
    fail "$1 is version $found; FlowTrack is built with $2 or later, from $3"
}

fail() {
  echo "setup: $*" >&2
  exit 3
}

main "$@"
