//! `conf`, `envi` and `dirs`: how and where the server runs.

use super::super::VERSION;
use super::super::config::ListenerConfig;

/// `conf`.
pub(super) fn configuration(config: &ListenerConfig) -> String {
    let (dir, bytes) = (config.data_dir.display(), (config.data_bytes)());
    format!(
        "clientPort={}\nsecureClientPort=-1\ndataDir={dir}\ndataDirSize={bytes}\ndataLogDir={dir}\ndataLogSize={bytes}\n\
         tickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\nmaxSessionTimeout={}\nclientPortListenBacklog=-1\n\
         serverId={}\n",
        config.address.port(),
        config.tick_ms,
        config.connections_per_address_max,
        config.session_timeout_ms_min,
        config.session_timeout_ms_max,
        config.server_id
    )
}

/// `envi`: of ZooKeeper's lines, those that are not about Java.
pub(super) fn environment() -> String {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let dir = std::env::current_dir().unwrap_or_default();
    format!(
        "Environment:\nzookeeper.version={VERSION}\nhost.name={}\nos.name={}\nos.arch={}\nuser.name={}\nuser.home={}\n\
         user.dir={}\n",
        variable("HOSTNAME"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        variable("USER"),
        variable("HOME"),
        dir.display()
    )
}

/// `dirs`: log and snapshots lie in one folder here, so both are all there is.
pub(super) fn folders(config: &ListenerConfig) -> String {
    let bytes = (config.data_bytes)();
    format!("datadir_size: {bytes}\nlogdir_size: {bytes}\n")
}
