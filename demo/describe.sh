#!/usr/bin/env bash
# Writes the two tables of README.md from the capture as it is; needs tshark and zstd.
#
# Usage: demo/describe.sh
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
CAPTURE=$HERE/office.pcap.zst
ATTACKS=$HERE/office.attacks.csv
README=$HERE/README.md

# what it is called | the display filter that finds it | who speaks it
PROTOCOLS='
ARP|arp|every machine
IPv6 neighbour discovery, router advertisement|icmpv6|every machine; addresses by SLAAC
DHCP|dhcp|busybox udhcpc, dnsmasq
DNS|dns && !mdns|glibc, dig, dnsmasq
mDNS|mdns|avahi: a printer that announces itself
NetBIOS names and browsing|nbns or nbdgm|nmbd, nmblookup
SSDP|ssdp|one search
NTP|ntp|chronyd
HTTP/1.1|http|curl, nginx, busybox httpd
TLS 1.2|tls.handshake.type == 2 && !tls.handshake.extensions.supported_version|curl, swaks, nginx, postfix, dovecot
TLS 1.3|tls.handshake.type == 2 && tls.handshake.extensions.supported_version == 0x0304|curl, swaks, nginx, postfix, dovecot
QUIC with HTTP/3|quic|aioquic on both sides
SMTP, with and without STARTTLS|smtp|swaks, postfix relaying by MX
IMAP over TLS|tcp.port == 993|curl, dovecot
SSH|ssh|OpenSSH
FTP|ftp or ftp-data|curl, vsftpd
TFTP|tftp|curl, dnsmasq
SMB 3|smb2|smbclient, smbd; over IPv4 and IPv6
MQTT|mqtt|mosquitto
SNMP|snmp|snmpget, snmpd
syslog|syslog && !icmp|logger
ICMP echo and errors|icmp|ping, traceroute
IP fragments|ip.flags.mf == 1 or ip.frag_offset > 0|ping with 3000 bytes
TCP retransmissions|tcp.analysis.retransmission|the radio link of a notebook, the line to the provider, the flood
'

main() {
  PCAP=$(mktemp --suffix .pcap)
  trap 'rm -f "$PCAP"' EXIT
  zstd -dqf "$CAPTURE" -o "$PCAP"
  replace_between protocols < <(protocol_table)
  replace_between attacks < <(attack_table)
}

protocol_table() {
  local name filter who
  echo "| what | frames | spoken by |"
  echo "|---|---:|---|"
  while IFS='|' read -r name filter who; do
    [ -z "$name" ] || echo "| $name | $(tshark -r "$PCAP" -Y "$filter" 2>/dev/null | wc -l) | $who |"
  done <<<"$PROTOCOLS"
  echo "| all | $(tshark -r "$PCAP" 2>/dev/null | wc -l) | |"
}

attack_table() {
  local first attack start end source target
  first=$(tshark -r "$PCAP" -c 1 -T fields -e frame.time_epoch 2>/dev/null)
  echo "| attack | from second | to second | source | target |"
  echo "|---|---:|---:|---|---|"
  tail -n +2 "$ATTACKS" | while IFS=, read -r attack start end source target; do
    awk -v "a=$attack" -v "s=$start" -v "e=$end" -v "f=$first" -v "x=$source" -v "t=$target" \
      'BEGIN { printf "| %s | %.0f | %.0f | %s | %s |\n", a, s - f, e - f, x, t }'
  done
}

# replace_between NAME: puts standard input between the two marks of that name in README.md.
replace_between() {
  local table
  table=$(mktemp)
  cat >"$table"
  sed -i -e "/<!-- $1 begin -->/,/<!-- $1 end -->/{ /<!-- $1 begin -->/{ p; r $table
    }; /<!-- $1 end -->/!d }" "$README"
  rm -f "$table"
}

main
