//! Which files a configuration depends on beside its own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::model::Config;

impl Config {
    /// Every file of a certificate, a key or an authority that listeners and pools name, each once.
    #[must_use]
    pub fn certificate_files(&self) -> Vec<PathBuf> {
        let specs = self.listeners.iter().filter_map(|one| one.tls.as_ref());
        let mut files: BTreeSet<&PathBuf> = specs.flat_map(|spec| spec.files()).collect();
        let upstreams = self.pools.iter().filter_map(|pool| pool.tls.as_ref());
        files.extend(upstreams.flat_map(|upstream| upstream.files()));
        files.into_iter().cloned().collect()
    }
}
