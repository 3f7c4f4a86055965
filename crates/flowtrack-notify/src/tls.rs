//! Whom TLS trusts: the system's certificates, or those of one file.

use crate::error::SendError;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// What encrypts.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// The certificates that are trusted: those in `file`, else the system's.
pub(crate) fn roots(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, SendError> {
    let Some(file) = file else { return Ok(SYSTEM.clone()) };
    let wrong = |what: String| {
        SendError::later(format!("cannot read certificates of {}: {what}", file.display()))
    };
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))?.collect();
    let found = found.map_err(|e| wrong(e.to_string()))?;
    if found.is_empty() {
        return Err(wrong("there is none in PEM form".into()));
    }
    Ok(found)
}

/// A client that trusts these certificates.
pub(crate) fn client(file: Option<&Path>) -> Result<Arc<ClientConfig>, SendError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots(file)?);
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| SendError::never(format!("TLS: {e}")))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

static SYSTEM: LazyLock<Vec<CertificateDer<'static>>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        tracing::warn!("the system trusts no certificate; install `ca-certificates`");
    }
    found.certs
});
