//! Where MySQL and MariaDB keep what an image must hold together: data, logs, and the binary log, which decides at recovery
//! which prepared transactions were committed.
//!
//! Tables that were made with `DATA DIRECTORY` elsewhere, and tablespaces outside of all of these, are not among them: a
//! server tells of those only to accounts that may see every table. Since MySQL 8.0.21 there are none: `innodb_directories`
//! names every other place where they can be. Nor is the doublewrite buffer of MySQL 8 among them: it mends pages that were
//! torn by a power cut, and a freeze leaves none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::apps::owner::Link;
use crate::apps::{AppError, DataPlace};

/// Every account may ask it. A version that does not know a variable leaves it out.
pub(super) const QUESTION: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('datadir', 'innodb_data_home_dir', \
    'innodb_log_group_home_dir', 'innodb_undo_directory', 'innodb_data_file_path', 'innodb_directories', \
    'log_bin_basename', 'aria_log_dir_path', 'proxy_protocol_networks')";

const DIRECTORIES: [(&str, &str); 4] = [
    ("innodb_data_home_dir", "the data of InnoDB"),
    ("innodb_log_group_home_dir", "the log of InnoDB"),
    ("innodb_undo_directory", "the undo log of InnoDB"),
    ("aria_log_dir_path", "the log of Aria"),
];

/// The directories that the variables name. What is relative is so to the data directory.
pub(super) fn of_variables(variables: &BTreeMap<String, String>) -> Result<Vec<DataPlace>, AppError> {
    let value = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let data = value("datadir").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.ok_or(AppError::Answer { doing: "tell where its data is" })?;
    let mut places = vec![DataPlace { what: "the data", path: data.clone() }];
    let mut add = |what, path: &Path| {
        let path = data.join(path);
        if !places.iter().any(|place| same(&place.path, &path)) {
            places.push(DataPlace { what, path });
        }
    };
    for (name, what) in DIRECTORIES {
        if let Some(path) = value(name) {
            add(what, Path::new(path));
        }
    }
    let files = value("innodb_data_file_path").into_iter().flat_map(|files| files.split(';'));
    for file in files.filter_map(|file| Path::new(file.split(':').next()?).parent()) {
        // Under the home of InnoDB, and that is the data directory unless it is said or set to nothing.
        let home = value("innodb_data_home_dir").map_or(PathBuf::new(), PathBuf::from);
        add("the data of InnoDB", &home.join(file));
    }
    let others = value("innodb_directories").into_iter().flat_map(|list| list.split(';'));
    for directory in others.filter(|directory| !directory.is_empty()) {
        add("tablespaces of InnoDB", Path::new(directory));
    }
    if let Some(directory) = value("log_bin_basename").and_then(|base| Path::new(base).parent()) {
        add("the binary log", directory);
    }
    Ok(places)
}

/// From the column `Host` of a list of connections, as in `10.0.3.9:51234` or `ip-10-0-3-9.ec2.internal:51234`, of a server on
/// this host. Where proxies may say for whom they ask, it may be what a proxy said.
pub(super) fn link_of_client(client: &str, server: &str, variables: &BTreeMap<String, String>) -> Link {
    let told = client.rsplit_once(':').and_then(|(client, port)| Some((client, port.parse().ok()?)));
    let link = told.map(|(client, port)| Link::told(client, port, server));
    let by_proxy = variables.get("proxy_protocol_networks").is_some_and(|networks| !networks.is_empty());
    match link {
        Some(Link::Tcp { clients, is_told }) => Link::Tcp { clients, is_told: is_told && !by_proxy },
        Some(link) => link,
        None => Link::Untold(format!("the server sees this host as `{client}`, without a port")),
    }
}

/// `/data/` and `/data/.` are the same directory, and so is what components say.
fn same(one: &Path, other: &Path) -> bool {
    one.components().eq(other.components())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(variables: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let places = of_variables(&variables).unwrap();
        places.into_iter().map(|place| (place.what, place.path.display().to_string())).collect()
    }

    #[test]
    fn what_is_relative_is_in_the_data_directory_and_told_once() {
        let variables = [
            ("datadir", "/data/"),
            ("innodb_data_home_dir", ""),
            ("innodb_log_group_home_dir", "./"),
            ("innodb_undo_directory", "./"),
            ("innodb_data_file_path", "ibdata1:12M:autoextend"),
            ("aria_log_dir_path", "./"),
            ("log_bin_basename", ""),
        ];
        assert_eq!(ask(&variables), [("the data", "/data/".to_owned())]);
    }

    #[test]
    fn a_connection_is_where_the_server_sees_it_unless_a_proxy_may_say_so() {
        let ask = |host: &str, networks: &str| {
            link_of_client(
                host,
                "127.0.0.1",
                &BTreeMap::from([("proxy_protocol_networks".to_owned(), networks.to_owned())]),
            )
        };
        let here = |is_told| Link::Tcp { clients: vec!["10.0.3.9:51234".parse().unwrap()], is_told };
        assert_eq!((ask("10.0.3.9:51234", ""), ask("10.0.3.9:51234", "*")), (here(true), here(false)));
        assert_eq!(ask("localhost:7", ""), Link::told("localhost", 7, ""));
        for host in ["localhost", "", "10.0.3.9:x"] {
            assert!(matches!(ask(host, ""), Link::Untold(_)), "{host}");
        }
    }

    #[test]
    fn whatever_is_elsewhere_is_told() {
        let variables = [
            ("datadir", "/data/"),
            ("innodb_log_group_home_dir", "/log/redo"),
            ("innodb_data_file_path", "ibdata1:12M;/more/ibdata2:12M:autoextend"),
            ("innodb_directories", "/spaces;/data;/more/;"),
            ("log_bin_basename", "/log/binary/mysql-bin"),
        ];
        let want = [
            ("the data", "/data/"),
            ("the log of InnoDB", "/log/redo"),
            ("the data of InnoDB", "/more"),
            ("tablespaces of InnoDB", "/spaces"),
            ("the binary log", "/log/binary"),
        ];
        assert_eq!(ask(&variables), want.map(|(what, path)| (what, path.to_owned())));
        assert!(of_variables(&BTreeMap::new()).is_err());
    }
}
