//! Numbers of protocols by the words that rules and logs have for them.

/// Words and the numbers that they stand for; of flags each word is some bits.
pub type Words = &'static [(&'static str, u64)];

/// Functions of DNP3 (IEEE 1815).
pub const DNP3_FUNCTIONS: Words = &[
    ("confirm", 0),
    ("read", 1),
    ("write", 2),
    ("select", 3),
    ("operate", 4),
    ("direct_operate", 5),
    ("direct_operate_nr", 6),
    ("immed_freeze", 7),
    ("immed_freeze_nr", 8),
    ("freeze_clear", 9),
    ("freeze_clear_nr", 10),
    ("freeze_at_time", 11),
    ("freeze_at_time_nr", 12),
    ("cold_restart", 13),
    ("warm_restart", 14),
    ("initialize_data", 15),
    ("initialize_appl", 16),
    ("start_appl", 17),
    ("stop_appl", 18),
    ("save_config", 19),
    ("enable_unsolicited", 20),
    ("disable_unsolicited", 21),
    ("assign_class", 22),
    ("delay_measure", 23),
    ("record_current_time", 24),
    ("open_file", 25),
    ("close_file", 26),
    ("delete_file", 27),
    ("get_file_info", 28),
    ("authenticate_file", 29),
    ("abort_file", 30),
    ("activate_config", 31),
    ("authenticate_req", 32),
    ("authenticate_err", 33),
    ("response", 129),
    ("unsolicited_response", 130),
    ("authenticate_resp", 131),
];

/// Internal indications of a DNP3 outstation, as bits.
pub const DNP3_INDICATIONS: Words = &[
    ("device_restart", 0x8000),
    ("device_trouble", 0x4000),
    ("local_control", 0x2000),
    ("need_time", 0x1000),
    ("class_3_events", 0x0800),
    ("class_2_events", 0x0400),
    ("class_1_events", 0x0200),
    ("all_stations", 0x0100),
    ("reserved_1", 0x0080),
    ("reserved_2", 0x0040),
    ("config_corrupt", 0x0020),
    ("already_executing", 0x0010),
    ("event_buffer_overflow", 0x0008),
    ("parameter_error", 0x0004),
    ("object_unknown", 0x0002),
    ("no_func_code_support", 0x0001),
];

/// Commands of EtherNet/IP encapsulation.
pub const ENIP_COMMANDS: Words = &[
    ("nop", 0),
    ("list_services", 4),
    ("list_identity", 0x63),
    ("list_interfaces", 0x64),
    ("register_session", 0x65),
    ("unregister_session", 0x66),
    ("send_rr_data", 0x6f),
    ("send_unit_data", 0x70),
    ("indicate_status", 0x72),
    ("cancel", 0x73),
];

/// Status of EtherNet/IP encapsulation.
pub const ENIP_STATUS: Words = &[
    ("success", 0),
    ("invalid_cmd", 1),
    ("no_resources", 2),
    ("incorrect_data", 3),
    ("invalid_session", 0x64),
    ("invalid_length", 0x65),
    ("unsupported_prot_rev", 0x69),
    ("encap_header_error", 0x6a),
];

/// Requests of LDAP, by the tag of their message (RFC 4511 section 4.2 and on).
pub const LDAP_REQUESTS: Words = &[
    ("bind_request", 0),
    ("unbind_request", 2),
    ("search_request", 3),
    ("modify_request", 6),
    ("add_request", 8),
    ("del_request", 10),
    ("mod_dn_request", 12),
    ("compare_request", 14),
    ("abandon_request", 16),
    ("extended_request", 23),
];

/// Responses of LDAP, by the tag of their message.
pub const LDAP_RESPONSES: Words = &[
    ("bind_response", 1),
    ("search_result_entry", 4),
    ("search_result_done", 5),
    ("modify_response", 7),
    ("add_response", 9),
    ("del_response", 11),
    ("mod_dn_response", 13),
    ("compare_response", 15),
    ("search_result_reference", 19),
    ("extended_response", 24),
    ("intermediate_response", 25),
];

/// Results of LDAP (IANA, LDAP Result Codes).
pub const LDAP_RESULTS: Words = &[
    ("success", 0),
    ("operations_error", 1),
    ("protocol_error", 2),
    ("time_limit_exceeded", 3),
    ("size_limit_exceeded", 4),
    ("compare_false", 5),
    ("compare_true", 6),
    ("auth_method_not_supported", 7),
    ("stronger_auth_required", 8),
    ("referral", 10),
    ("admin_limit_exceeded", 11),
    ("unavailable_critical_extension", 12),
    ("confidentiality_required", 13),
    ("sasl_bind_in_progress", 14),
    ("no_such_attribute", 16),
    ("undefined_attribute_type", 17),
    ("inappropriate_matching", 18),
    ("constraint_violation", 19),
    ("attribute_or_value_exists", 20),
    ("invalid_attribute_syntax", 21),
    ("no_such_object", 32),
    ("alias_problem", 33),
    ("invalid_dns_syntax", 34),
    ("is_leaf", 35),
    ("alias_dereferencing_problem", 36),
    ("inappropriate_authentication", 48),
    ("invalid_credentials", 49),
    ("insufficient_access_rights", 50),
    ("busy", 51),
    ("unavailable", 52),
    ("unwilling_to_perform", 53),
    ("loop_detect", 54),
    ("naming_violation", 64),
    ("object_class_violation", 65),
    ("not_allowed_on_non_leaf", 66),
    ("not_allowed_on_rdn", 67),
    ("entry_already_exists", 68),
    ("object_class_mods_prohibited", 69),
    ("affects_multiple_dsas", 71),
    ("other", 80),
    ("canceled", 118),
];

/// What an MQTT client sends along and asks for, as bits.
pub const MQTT_CONNECT_FLAGS: Words =
    &[("clean_session", 2), ("will", 4), ("will_retain", 32), ("password", 64), ("username", 128)];

/// Flags of an MQTT control packet, as bits.
pub const MQTT_FLAGS: Words = &[("retain", 1), ("dup", 8)];

/// Control packets of MQTT (MQTT 5.0 section 2.1.2).
pub const MQTT_TYPES: Words = &[
    ("CONNECT", 1),
    ("CONNACK", 2),
    ("PUBLISH", 3),
    ("PUBACK", 4),
    ("PUBREC", 5),
    ("PUBREL", 6),
    ("PUBCOMP", 7),
    ("SUBSCRIBE", 8),
    ("SUBACK", 9),
    ("UNSUBSCRIBE", 10),
    ("UNSUBACK", 11),
    ("PINGREQ", 12),
    ("PINGRESP", 13),
    ("DISCONNECT", 14),
    ("AUTH", 15),
];

/// Outcomes of a log-on by RFB (RFC 6143 section 7.1.3).
pub const RFB_RESULTS: Words = &[("ok", 0), ("fail", 1), ("toomany", 2), ("unknown", 3)];

/// Messages of SNMP, by their tag (RFC 3416).
pub const SNMP_PDUS: Words = &[
    ("get_request", 0),
    ("get_next_request", 1),
    ("response", 2),
    ("set_request", 3),
    ("trap_v1", 4),
    ("get_bulk_request", 5),
    ("inform_request", 6),
    ("trap_v2", 7),
    ("report", 8),
];

/// Generic kinds of SNMP v1 traps (RFC 1157).
pub const SNMP_TRAPS: Words = &[
    ("cold_start", 0),
    ("warm_start", 1),
    ("link_down", 2),
    ("link_up", 3),
    ("authentication_failure", 4),
    ("egp_neighbor_loss", 5),
    ("enterprise_specific", 6),
];
