//! TLS on both ends: rustls with ring, certificates verified, no way to turn that off.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} holds a certificate that is no authority's: {source}", path.display())]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("certificate and key do not go together: {source}")]
    Pair { source: rustls::Error },
    #[error("this system has no list of authorities: name a ca-file")]
    NoAuthorities,
}

/// Returns the configuration of a server with this certificate chain and key, both PEM files.
pub fn server(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::File { path: key.to_owned(), source })?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring speaks every version that rustls calls safe")
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|source| TlsError::Pair { source })?;
    Ok(Arc::new(config))
}

/// Whom a client believes who a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorities<'a> {
    /// Nobody: every certificate is refused. For a client that speaks plain HTTP.
    Nobody,
    /// Those of the system.
    System,
    /// Those of a PEM file, and no others.
    File(&'a Path),
}

/// Returns the configuration of a client that trusts `authorities` and nobody else.
pub fn client(authorities: Authorities<'_>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Authorities::Nobody => {}
        Authorities::File(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
            }
        }
        // Single entries that do not parse are the system's matter, and no reason to trust fewer of the others.
        Authorities::System => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() && authorities != Authorities::Nobody {
        return Err(TlsError::NoAuthorities);
    }
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring speaks every version that rustls calls safe")
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file_error = |source| TlsError::File { path: path.to_owned(), source };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(file_error)?.collect();
    let found = found.map_err(file_error)?;
    if found.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(found) }
}
