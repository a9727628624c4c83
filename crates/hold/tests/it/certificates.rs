//! Certificates for servers that are connected to with TLS.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::bench::said;

/// An authority, and a server's certificate by it for `localhost` alone.
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    pub(crate) fn made_in(directory: &Path, owner: &str) -> Self {
        fs::create_dir_all(directory).unwrap();
        let file = |name: &str| directory.join(name);
        let new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
        let name = directory.file_name().unwrap().display();
        said(&format!("{new} -subj /CN={name} -keyout {} -out {}", ca_key.display(), ca.display()));
        let (certificate, key) = (file("server.pem"), file("server.key"));
        said(&format!(
            "{new} -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
             -CA {} -CAkey {} -keyout {} -out {}",
            ca.display(),
            ca_key.display(),
            key.display(),
            certificate.display()
        ));
        let id = said(&format!("id -u {owner}")).trim().parse().unwrap();
        chown(&key, Some(id), None).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        Self { authority: ca, certificate, key }
    }
}
