//! Names of well-known interfaces and of the procedures that attackers and analysts care for.

use super::pdu::Uuid;

/// An interface and its procedures, in the order of their numbers.
struct Service {
    uuid: [u8; 16],
    name: &'static str,
    procedures: &'static [(u16, &'static str)],
}

/// Name of an interface.
pub fn name(uuid: Uuid) -> Option<&'static str> {
    find(uuid).map(|service| service.name)
}

/// Name of a procedure.
pub fn procedure(uuid: Uuid, opnum: u16) -> Option<&'static str> {
    let procedures = find(uuid)?.procedures;
    procedures.iter().find(|(number, _)| *number == opnum).map(|&(_, name)| name)
}

fn find(uuid: Uuid) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.uuid == uuid.0)
}

const SERVICES: &[Service] = &[
    Service {
        uuid: 0xe1af8308_5d1f_11c9_91a4_08002b14a0fa_u128.to_be_bytes(),
        name: "epmapper",
        procedures: &[
            (0, "ept_insert"),
            (1, "ept_delete"),
            (2, "ept_lookup"),
            (3, "ept_map"),
            (4, "ept_lookup_handle_free"),
            (5, "ept_inq_object"),
            (6, "ept_mgmt_delete"),
            (7, "ept_map_auth"),
        ],
    },
    Service {
        uuid: 0xafa8bd80_7d8a_11c9_bef4_08002b102989_u128.to_be_bytes(),
        name: "mgmt",
        procedures: &[
            (0, "inq_if_ids"),
            (1, "inq_stats"),
            (2, "is_server_listening"),
            (3, "stop_server_listening"),
            (4, "inq_princ_name"),
        ],
    },
    Service {
        uuid: 0x1ff70682_0a51_30e8_076d_740be8cee98b_u128.to_be_bytes(),
        name: "atsvc",
        procedures: &[
            (0, "NetrJobAdd"),
            (1, "NetrJobDel"),
            (2, "NetrJobEnum"),
            (3, "NetrJobGetInfo"),
        ],
    },
    Service {
        uuid: 0x86d35949_83c9_4044_b424_db363231fd0c_u128.to_be_bytes(),
        name: "ITaskSchedulerService",
        procedures: &[
            (0, "SchRpcHighestVersion"),
            (1, "SchRpcRegisterTask"),
            (2, "SchRpcRetrieveTask"),
            (3, "SchRpcCreateFolder"),
            (6, "SchRpcEnumFolders"),
            (7, "SchRpcEnumTasks"),
            (12, "SchRpcRun"),
            (13, "SchRpcDelete"),
            (17, "SchRpcGetTaskInfo"),
            (19, "SchRpcEnableTask"),
        ],
    },
    Service {
        uuid: 0x367abb81_9844_35f1_ad32_98f038001003_u128.to_be_bytes(),
        name: "svcctl",
        procedures: &[
            (0, "RCloseServiceHandle"),
            (1, "RControlService"),
            (2, "RDeleteService"),
            (3, "RLockServiceDatabase"),
            (4, "RQueryServiceObjectSecurity"),
            (5, "RSetServiceObjectSecurity"),
            (6, "RQueryServiceStatus"),
            (7, "RSetServiceStatus"),
            (8, "RUnlockServiceDatabase"),
            (9, "RNotifyBootConfigStatus"),
            (11, "RChangeServiceConfigW"),
            (12, "RCreateServiceW"),
            (13, "REnumDependentServicesW"),
            (14, "REnumServicesStatusW"),
            (15, "ROpenSCManagerW"),
            (16, "ROpenServiceW"),
            (17, "RQueryServiceConfigW"),
            (18, "RQueryServiceLockStatusW"),
            (19, "RStartServiceW"),
            (20, "RGetServiceDisplayNameW"),
            (21, "RGetServiceKeyNameW"),
            (24, "RCreateServiceA"),
            (27, "ROpenSCManagerA"),
            (28, "ROpenServiceA"),
            (31, "RStartServiceA"),
            (37, "RChangeServiceConfig2W"),
            (39, "RQueryServiceConfig2W"),
            (40, "RQueryServiceStatusEx"),
            (42, "REnumServicesStatusExW"),
            (45, "RCreateServiceWOW64W"),
        ],
    },
    Service {
        uuid: 0x12345778_1234_abcd_ef00_0123456789ab_u128.to_be_bytes(),
        name: "lsarpc",
        procedures: &[
            (0, "LsarClose"),
            (2, "LsarEnumeratePrivileges"),
            (6, "LsarOpenPolicy"),
            (7, "LsarQueryInformationPolicy"),
            (11, "LsarEnumerateAccounts"),
            (13, "LsarEnumerateTrustedDomains"),
            (14, "LsarLookupNames"),
            (15, "LsarLookupSids"),
            (17, "LsarOpenAccount"),
            (18, "LsarEnumeratePrivilegesAccount"),
            (28, "LsarOpenSecret"),
            (30, "LsarQuerySecret"),
            (42, "LsarStorePrivateData"),
            (43, "LsarRetrievePrivateData"),
            (44, "LsarOpenPolicy2"),
            (45, "LsarGetUserName"),
            (46, "LsarQueryInformationPolicy2"),
            (50, "LsarEnumerateTrustedDomainsEx"),
            (57, "LsarLookupSids2"),
            (58, "LsarLookupNames2"),
            (68, "LsarLookupNames3"),
            (76, "LsarLookupSids3"),
            (77, "LsarLookupNames4"),
        ],
    },
    Service {
        uuid: 0x12345778_1234_abcd_ef00_0123456789ac_u128.to_be_bytes(),
        name: "samr",
        procedures: &[
            (0, "SamrConnect"),
            (1, "SamrCloseHandle"),
            (3, "SamrQuerySecurityObject"),
            (5, "SamrLookupDomainInSamServer"),
            (6, "SamrEnumerateDomainsInSamServer"),
            (7, "SamrOpenDomain"),
            (8, "SamrQueryInformationDomain"),
            (10, "SamrCreateGroupInDomain"),
            (11, "SamrEnumerateGroupsInDomain"),
            (12, "SamrCreateUserInDomain"),
            (13, "SamrEnumerateUsersInDomain"),
            (14, "SamrCreateAliasInDomain"),
            (15, "SamrEnumerateAliasesInDomain"),
            (16, "SamrGetAliasMembership"),
            (17, "SamrLookupNamesInDomain"),
            (18, "SamrLookupIdsInDomain"),
            (19, "SamrOpenGroup"),
            (20, "SamrQueryInformationGroup"),
            (22, "SamrAddMemberToGroup"),
            (25, "SamrGetMembersInGroup"),
            (27, "SamrOpenAlias"),
            (28, "SamrQueryInformationAlias"),
            (31, "SamrAddMemberToAlias"),
            (33, "SamrGetMembersInAlias"),
            (34, "SamrOpenUser"),
            (35, "SamrDeleteUser"),
            (36, "SamrQueryInformationUser"),
            (37, "SamrSetInformationUser"),
            (38, "SamrChangePasswordUser"),
            (39, "SamrGetGroupsForUser"),
            (40, "SamrQueryDisplayInformation"),
            (46, "SamrQueryInformationDomain2"),
            (47, "SamrQueryInformationUser2"),
            (50, "SamrCreateUser2InDomain"),
            (54, "SamrOemChangePasswordUser2"),
            (55, "SamrUnicodeChangePasswordUser2"),
            (57, "SamrConnect2"),
            (58, "SamrSetInformationUser2"),
            (62, "SamrConnect4"),
            (64, "SamrConnect5"),
        ],
    },
    Service {
        uuid: 0x12345678_1234_abcd_ef00_01234567cffb_u128.to_be_bytes(),
        name: "netlogon",
        procedures: &[
            (2, "NetrLogonSamLogon"),
            (3, "NetrLogonSamLogoff"),
            (4, "NetrServerReqChallenge"),
            (5, "NetrServerAuthenticate"),
            (6, "NetrServerPasswordSet"),
            (11, "NetrGetDCName"),
            (12, "NetrLogonControl"),
            (15, "NetrServerAuthenticate2"),
            (20, "DsrGetDcName"),
            (21, "NetrLogonGetCapabilities"),
            (26, "NetrServerAuthenticate3"),
            (29, "NetrLogonGetDomainInfo"),
            (30, "NetrServerPasswordSet2"),
            (31, "NetrServerPasswordGet"),
            (34, "DsrGetDcNameEx2"),
            (39, "NetrLogonSamLogonEx"),
            (40, "DsrEnumerateDomainTrusts"),
            (42, "NetrServerTrustPasswordsGet"),
            (45, "NetrLogonSamLogonWithFlags"),
        ],
    },
    Service {
        uuid: 0x4b324fc8_1670_01d3_1278_5a47bf6ee188_u128.to_be_bytes(),
        name: "srvsvc",
        procedures: &[
            (8, "NetrConnectionEnum"),
            (9, "NetrFileEnum"),
            (12, "NetrSessionEnum"),
            (13, "NetrSessionDel"),
            (14, "NetrShareAdd"),
            (15, "NetrShareEnum"),
            (16, "NetrShareGetInfo"),
            (18, "NetrShareDel"),
            (21, "NetrServerGetInfo"),
            (23, "NetrServerDiskEnum"),
            (28, "NetrRemoteTOD"),
            (31, "NetprPathCanonicalize"),
            (32, "NetprPathCompare"),
            (34, "NetprNameCanonicalize"),
            (36, "NetrShareEnumSticky"),
        ],
    },
    Service {
        uuid: 0x6bffd098_a112_3610_9833_46c3f87e345a_u128.to_be_bytes(),
        name: "wkssvc",
        procedures: &[
            (0, "NetrWkstaGetInfo"),
            (1, "NetrWkstaSetInfo"),
            (2, "NetrWkstaUserEnum"),
            (5, "NetrWkstaTransportEnum"),
            (8, "NetrUseAdd"),
            (20, "NetrGetJoinInformation"),
            (22, "NetrJoinDomain2"),
        ],
    },
    Service {
        uuid: 0x338cd001_2244_31f1_aaaa_900038001003_u128.to_be_bytes(),
        name: "winreg",
        procedures: &[
            (0, "OpenClassesRoot"),
            (1, "OpenCurrentUser"),
            (2, "OpenLocalMachine"),
            (4, "OpenUsers"),
            (5, "BaseRegCloseKey"),
            (6, "BaseRegCreateKey"),
            (7, "BaseRegDeleteKey"),
            (8, "BaseRegDeleteValue"),
            (9, "BaseRegEnumKey"),
            (10, "BaseRegEnumValue"),
            (15, "BaseRegOpenKey"),
            (16, "BaseRegQueryInfoKey"),
            (17, "BaseRegQueryValue"),
            (20, "BaseRegSaveKey"),
            (22, "BaseRegSetValue"),
            (26, "BaseRegGetVersion"),
        ],
    },
    Service {
        uuid: 0xe3514235_4b06_11d1_ab04_00c04fc2dcd2_u128.to_be_bytes(),
        name: "drsuapi",
        procedures: &[
            (0, "DRSBind"),
            (1, "DRSUnbind"),
            (2, "DRSReplicaSync"),
            (3, "DRSGetNCChanges"),
            (4, "DRSUpdateRefs"),
            (5, "DRSReplicaAdd"),
            (6, "DRSReplicaDel"),
            (8, "DRSVerifyNames"),
            (9, "DRSGetMemberships"),
            (12, "DRSCrackNames"),
            (13, "DRSWriteSPN"),
            (16, "DRSDomainControllerInfo"),
            (17, "DRSAddEntry"),
            (19, "DRSGetReplInfo"),
        ],
    },
    Service {
        uuid: 0x12345678_1234_abcd_ef00_0123456789ab_u128.to_be_bytes(),
        name: "spoolss",
        procedures: &[
            (0, "RpcEnumPrinters"),
            (1, "RpcOpenPrinter"),
            (5, "RpcAddPrinter"),
            (9, "RpcAddPrinterDriver"),
            (10, "RpcEnumPrinterDrivers"),
            (12, "RpcGetPrinterDriverDirectory"),
            (17, "RpcStartDocPrinter"),
            (29, "RpcClosePrinter"),
            (62, "RpcRemoteFindFirstPrinterChangeNotification"),
            (65, "RpcRemoteFindFirstPrinterChangeNotificationEx"),
            (69, "RpcOpenPrinterEx"),
            (70, "RpcAddPrinterEx"),
            (89, "RpcAddPrinterDriverEx"),
        ],
    },
    Service {
        uuid: 0x76f03f96_cdfd_44fc_a22c_64950a001209_u128.to_be_bytes(),
        name: "IRemoteWinspool",
        procedures: &[
            (0, "RpcAsyncOpenPrinter"),
            (1, "RpcAsyncAddPrinter"),
            (39, "RpcAsyncAddPrinterDriver"),
        ],
    },
    Service {
        uuid: 0xc681d488_d850_11d0_8c52_00c04fd90f7e_u128.to_be_bytes(),
        name: "efsrpc",
        procedures: EFS,
    },
    Service {
        uuid: 0xdf1941c5_fe89_4e79_bf10_463657acf44d_u128.to_be_bytes(),
        name: "efsrpc",
        procedures: EFS,
    },
    Service {
        uuid: 0x4fc742e0_4a10_11cf_8273_00aa004ae673_u128.to_be_bytes(),
        name: "netdfs",
        procedures: &[
            (1, "NetrDfsAdd"),
            (2, "NetrDfsRemove"),
            (5, "NetrDfsEnum"),
            (12, "NetrDfsAddStdRoot"),
            (13, "NetrDfsRemoveStdRoot"),
            (21, "NetrDfsEnumEx"),
        ],
    },
    Service {
        uuid: 0xa8e0653c_2744_4389_a61d_7373df8b2292_u128.to_be_bytes(),
        name: "FileServerVssAgent",
        procedures: &[(8, "IsPathSupported"), (9, "IsPathShadowCopied")],
    },
    Service {
        uuid: 0x82273fdc_e32a_18c3_3f78_827929dc23ea_u128.to_be_bytes(),
        name: "eventlog",
        procedures: &[(0, "ElfrClearELFW"), (2, "ElfrCloseEL"), (7, "ElfrOpenELW")],
    },
    Service {
        uuid: 0xf6beaff7_1e19_4fbb_9f8f_b89e2018337c_u128.to_be_bytes(),
        name: "IEventService",
        procedures: &[(6, "EvtRpcClearLog"), (11, "EvtRpcQueryNext")],
    },
    Service {
        uuid: 0x3919286a_b10c_11d0_9ba8_00c04fd92ef5_u128.to_be_bytes(),
        name: "dssetup",
        procedures: &[(0, "DsRolerGetPrimaryDomainInformation")],
    },
    Service {
        uuid: 0x50abc2a4_574d_40b3_9d66_ee4fd5fba076_u128.to_be_bytes(),
        name: "dnsserver",
        procedures: &[
            (0, "R_DnssrvOperation"),
            (1, "R_DnssrvQuery"),
            (2, "R_DnssrvComplexOperation"),
        ],
    },
    Service {
        uuid: 0x3dde7c30_165d_11d1_ab8f_00805f14db40_u128.to_be_bytes(),
        name: "BackupKey",
        procedures: &[(0, "BackuprKey")],
    },
    Service {
        uuid: 0x99fcfec4_5260_101b_bbcb_00aa0021347a_u128.to_be_bytes(),
        name: "IOXIDResolver",
        procedures: &[
            (0, "ResolveOxid"),
            (1, "SimplePing"),
            (2, "ComplexPing"),
            (3, "ServerAlive"),
            (4, "ResolveOxid2"),
            (5, "ServerAlive2"),
        ],
    },
    Service {
        uuid: 0x000001a0_0000_0000_c000_000000000046_u128.to_be_bytes(),
        name: "ISystemActivator",
        procedures: &[(3, "RemoteGetClassObject"), (4, "RemoteCreateInstance")],
    },
    Service {
        uuid: 0x4d9f4ab8_7d1c_11cf_861e_0020af6e7c57_u128.to_be_bytes(),
        name: "IActivation",
        procedures: &[(0, "RemoteActivation")],
    },
    Service {
        uuid: 0x00000131_0000_0000_c000_000000000046_u128.to_be_bytes(),
        name: "IRemUnknown",
        procedures: REM_UNKNOWN,
    },
    Service {
        uuid: 0x00000143_0000_0000_c000_000000000046_u128.to_be_bytes(),
        name: "IRemUnknown2",
        procedures: REM_UNKNOWN,
    },
    Service {
        uuid: 0xf309ad18_d86a_11d0_a075_00c04fb68820_u128.to_be_bytes(),
        name: "IWbemLevel1Login",
        procedures: &[(3, "EstablishPosition"), (6, "NTLMLogin")],
    },
    Service {
        uuid: 0x9556dc99_828c_11cf_a37e_00aa003240c7_u128.to_be_bytes(),
        name: "IWbemServices",
        procedures: &[(6, "GetObject"), (20, "ExecQuery"), (24, "ExecMethod")],
    },
    Service {
        uuid: 0x894de0c0_0d55_11d3_a322_00c04fa321a1_u128.to_be_bytes(),
        name: "InitShutdown",
        procedures: &[(0, "BaseInitiateShutdown"), (1, "BaseAbortShutdown")],
    },
    Service {
        uuid: 0xdea00001_6c97_11d1_8271_00a02442df7d_u128.to_be_bytes(),
        name: "pnio",
        procedures: &[
            (0, "Connect"),
            (1, "Release"),
            (2, "Read"),
            (3, "Write"),
            (4, "Control"),
            (5, "ReadImplicit"),
        ],
    },
    Service {
        uuid: 0xdea00002_6c97_11d1_8271_00a02442df7d_u128.to_be_bytes(),
        name: "pnio",
        procedures: &[(0, "Connect"), (1, "Release"), (2, "Read"), (3, "Write"), (4, "Control")],
    },
];

const EFS: &[(u16, &str)] = &[
    (0, "EfsRpcOpenFileRaw"),
    (1, "EfsRpcReadFileRaw"),
    (2, "EfsRpcWriteFileRaw"),
    (3, "EfsRpcCloseRaw"),
    (4, "EfsRpcEncryptFileSrv"),
    (5, "EfsRpcDecryptFileSrv"),
    (6, "EfsRpcQueryUsersOnFile"),
    (7, "EfsRpcQueryRecoveryAgents"),
    (8, "EfsRpcRemoveUsersFromFile"),
    (9, "EfsRpcAddUsersToFile"),
    (12, "EfsRpcFileKeyInfo"),
    (13, "EfsRpcDuplicateEncryptionInfoFile"),
    (15, "EfsRpcAddUsersToFileEx"),
    (16, "EfsRpcFileKeyInfoEx"),
    (18, "EfsRpcGetEncryptedFileMetadata"),
    (19, "EfsRpcSetEncryptedFileMetadata"),
];

const REM_UNKNOWN: &[(u16, &str)] =
    &[(3, "RemQueryInterface"), (4, "RemAddRef"), (5, "RemRelease"), (6, "RemQueryInterface2")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_and_procedures_have_names_once() {
        let mut uuids: Vec<_> = SERVICES.iter().map(|s| s.uuid).collect();
        uuids.sort_unstable();
        uuids.dedup();
        assert_eq!(uuids.len(), SERVICES.len());
        for service in SERVICES {
            assert!(service.procedures.windows(2).all(|w| w[0].0 < w[1].0), "{}", service.name);
        }
        let netlogon = Uuid(0x12345678_1234_abcd_ef00_01234567cffb_u128.to_be_bytes());
        assert_eq!(procedure(netlogon, 26), Some("NetrServerAuthenticate3"));
        assert_eq!(name(Uuid::default()), None);
    }
}
