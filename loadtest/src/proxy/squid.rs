//! Squid with what it needs to do the same work: an allow list of 1,000 names, an access log, no cache.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream};

use super::{Running, Starting, Surroundings};
use crate::scratch::Scratch;
use crate::{Failure, names};

/// Where Debian puts it; not in every user's path.
const DEBIAN: &str = "/usr/sbin/squid";
/// The user that Debian's Squid becomes when root starts it.
const USER: &str = "proxy";

/// Start `program` with `workers` and wait until it accepts connections.
pub async fn start(
    program: &Path,
    workers: usize,
    files_limit: u64,
    around: &Surroundings,
) -> Result<Running, Failure> {
    let files = Scratch::new(&around.scratch, "squid")?;
    files.write("allow.txt", &allow_list())?;
    files.write("hosts", &hosts())?;
    let logs = files.path().join("logs");
    fs::create_dir(&logs).map_err(Failure::at("a directory for Squid's logs"))?;
    give_to_squid(&logs)?;
    let address = free_port().await?;
    let directory = files.path().display().to_string();
    let settings = Settings { address, workers, files_limit, ports: around.ports, directory: &directory };
    let config = files.write("squid.conf", &configuration(&settings))?;

    let (log, output) = (files.path().join("errors"), files.path().join("output"));
    let arguments = [OsStr::new("--foreground"), OsStr::new("-f"), config.as_os_str()];
    let mut starting = Starting::begin(&find(program), &arguments, around, &log, &output)?;
    let ready = async |_: &str| TcpStream::connect(address).await.is_ok().then_some(address);
    let address = starting.wait("squid", ready).await.map_err(|Failure(why)| {
        Failure(format!("{why}\n{}", super::tail(&fs::read_to_string(logs.join("cache.log")).unwrap_or_default())))
    })?;
    let records = logs.join("access.log");
    Ok(Running { address, pid: starting.pid, records, child: starting.child, _files: files })
}

/// The program that is meant: bare `squid` is Debian's.
pub fn find(program: &Path) -> PathBuf {
    let bare = program == Path::new("squid") && Path::new(DEBIAN).exists();
    if bare { PathBuf::from(DEBIAN) } else { program.to_owned() }
}

fn allow_list() -> String {
    (0..usize::from(names::COUNT)).map(|number| names::name(number) + "\n").collect()
}

/// The destinations, and the clients: Squid looks up the name of every client address, and slows down with each
/// question that is not answered.
fn hosts() -> String {
    let destinations =
        (0..usize::from(names::COUNT)).map(|number| format!("{} {}\n", names::address(number), names::name(number)));
    let clients =
        (0..usize::from(names::SOURCES)).map(|number| format!("{} client-{number}.test\n", names::source(number)));
    destinations.chain(clients).collect()
}

/// Squid does not stay root, and then writes its logs as somebody else.
fn give_to_squid(directory: &Path) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let users = fs::read_to_string("/etc/passwd").map_err(Failure::at("`/etc/passwd`"))?;
    let numbers = ids(&users, USER).ok_or_else(|| Failure(format!("there is no user `{USER}` for Squid to become")))?;
    chown(directory, Some(numbers.0), Some(numbers.1)).map_err(Failure::at("Squid's logs"))
}

fn ids(users: &str, user: &str) -> Option<(u32, u32)> {
    let line = users.lines().find_map(|line| line.strip_prefix(user)?.strip_prefix(':'))?;
    let mut fields = line.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Squid takes no port 0: one that is free now, on an address where nothing else takes ports.
async fn free_port() -> Result<SocketAddr, Failure> {
    let bound = TcpListener::bind((Ipv4Addr::new(127, 0, 3, 1), 0)).await;
    bound.and_then(|listener| listener.local_addr()).map_err(Failure::at("a port for Squid"))
}

struct Settings<'a> {
    address: SocketAddr,
    workers: usize,
    files_limit: u64,
    ports: [u16; 4],
    directory: &'a str,
}

/// `hosts_file` stands for DNS: Squid's `dns_nameservers` takes addresses only, and asks them on port 53. The caches
/// have room for all of it.
fn configuration(settings: &Settings<'_>) -> String {
    let Settings { address, workers, files_limit, ports, directory } = settings;
    let ports = ports.map(|port| port.to_string()).join(" ");
    format!(
        r#"http_port {address}
workers {workers}
cache deny all
cache_mem 8 MB
max_filedescriptors {files_limit}
dns_nameservers 127.0.0.1
hosts_file {directory}/hosts
ipcache_size 4096
fqdncache_size 4096
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname loadtest
pid_filename none
cache_log {directory}/logs/cache.log
coredump_dir {directory}/logs
acl load port {ports}
acl CONNECT method CONNECT
acl allowed dstdomain "{directory}/allow.txt"
http_access deny !load
http_access allow allowed
http_access deny all
access_log daemon:{directory}/logs/access.log squid
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\nproxyd:x:7:8::/:/bin/false\nproxy:x:13:14:proxy:/bin:/bin/false\n";
        assert_eq!(ids(users, "proxy"), Some((13, 14)));
        assert_eq!(ids(users, "squid"), None);
    }

    #[test]
    fn the_allow_list_and_the_hosts_have_every_name() {
        assert_eq!(allow_list().lines().count(), 1_000);
        assert!(hosts().lines().any(|line| line == "127.0.2.8 svc-0999.bench.test"));
        assert!(hosts().lines().any(|line| line == "127.0.1.250 client-249.test"));
        let text = configuration(&Settings {
            address: "127.0.3.1:3128".parse().unwrap(),
            workers: 1,
            files_limit: 20_000,
            ports: [1, 2, 3, 4],
            directory: "/scratch",
        });
        for line in ["http_port 127.0.3.1:3128", "acl load port 1 2 3 4", "hosts_file /scratch/hosts"] {
            assert!(text.lines().any(|each| each == line), "{line}");
        }
    }
}
